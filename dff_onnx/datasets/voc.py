"""PASCAL VOC: pictures with boxes around the objects of 20 classes, grouped by class as the DFF paper groups them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from dff_onnx.datasets.dataset import Annotated, DataSet, Group, MaskSource, counted
from dff_onnx.datasets.mask_files import VOID, MaskFile
from dff_onnx.datasets.paths import inside, is_file, is_folder, needed_folder, read_text
from dff_onnx.datasets.voc_xml import VocObject, VocPicture, read_voc_xml
from dff_onnx.errors import DatasetError, UsageError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
LARGEST_LIST = 16 * 2**20
MOST_TOLD = 8  # names in a sentence
OTHER_PICTURES = "for pictures of another kind give their boxes or masks with --boxes or --masks"

Rule = Literal["class", "image", "all-both", "all-either", "all-difficult", "all-truncated", "none"]

# Is a picture kept, by the objects that a rule looks at? `image` looks at all, the others at those of the class.
KEPT: Mapping[Rule, Callable[[Sequence[VocObject]], bool]] = {
    "class": lambda objects: any(o.clean for o in objects),
    "image": lambda objects: any(o.clean for o in objects),
    "all-both": lambda objects: not all(o.difficult and o.truncated for o in objects),
    "all-either": lambda objects: not (all(o.difficult for o in objects) or all(o.truncated for o in objects)),
    "all-difficult": lambda objects: not all(o.difficult for o in objects),
    "all-truncated": lambda objects: not all(o.truncated for o in objects),
    "none": bool,
}
# DFF (ECCV 2018), section 4.4: the sizes of its smallest and largest set of VOC 2007 trainval.
PAPER_SIZES = (69, 2008)


@dataclass(frozen=True, slots=True)
class VocEntry:
    """One picture of VOC.

    Attributes:
        name: without suffix, as in the lists.
        picture: the file; it is there.
        annotation: what its XML file says.
    """

    name: str
    picture: Path
    annotation: VocPicture

    def of(self, label: str) -> tuple[VocObject, ...]:
        """The objects of one class."""
        return tuple(o for o in self.annotation.objects if o.label == label)

    def kept(self, label: str, rule: Rule) -> bool:
        """Whether the picture is in the set of a class."""
        own = self.of(label)
        return bool(own) and KEPT[rule](self.annotation.objects if rule == "image" else own)


def read_voc(
    root: str | Path,
    split: str = "trainval",
    rule: Rule = "class",
    year: str = "2007",
    clean: bool = False,
    segmentation: bool = False,
) -> DataSet:
    """Reads a year of VOC; one group a class, in the official order.

    The DFF paper leaves out pictures "that only contain objects which are marked as difficult or truncated", and its
    sets then have 69 to 2008 pictures. What that means in full is not known; `rule` offers the readings:

    - `class`: kept if some object *of the class* is neither difficult nor truncated;
    - `image`: kept if some object of *any* class is neither;
    - `all-both`: left out only if every object of the class is both difficult and truncated;
    - `all-either`: left out if every object of the class is difficult, or every one truncated;
    - `all-difficult`, `all-truncated`: left out only for that one flag;
    - `none`: every picture that has the class.

    Args:
        root: `VOCdevkit`, the folder that holds it, or the year's own folder.
        split: the list `ImageSets/Main/<split>.txt`.
        rule: which pictures a class keeps.
        year: of the folder `VOC<year>`.
        clean: boxes only of objects that are neither difficult nor truncated, else of all of the class. With any rule
            but `class` a picture may then have no box.
        segmentation: masks from `SegmentationClass`, for the pictures that have one.

    Raises:
        DatasetError: when a file is missing or malformed.
        UsageError: when the rule is none of the above.
    """
    check_rule(rule)
    base = voc_folder(root, year)
    entries = [read_entry(base, name) for name in read_list(base / "ImageSets" / "Main", split)]
    groups = [_group(base, label, entries, rule, clean, segmentation) for label in CLASSES]
    filled = tuple(group for group in groups if group.pictures)
    if not filled:
        raise DatasetError(
            f"{base}: no picture of {split} is left by the rule {rule!r}; choose another with --voc-filter"
        )
    notes = [f"rule {rule!r}: {sizes_told(filled)}", *_compared(filled, split, year), *foreign_classes(entries)]
    return DataSet(f"{base.name} {split}", filled, (*notes, *_lists_compared(base, split, entries)))


def check_rule(rule: str) -> None:
    """Raises `UsageError` for what is no rule."""
    if rule not in get_args(Rule):
        raise UsageError(f"the rule is {rule!r}, and one of {', '.join(get_args(Rule))} is needed")


def voc_folder(root: str | Path, year: str, advice: str = OTHER_PICTURES) -> Path:
    """The folder that holds `JPEGImages` and `Annotations`: the root itself, or `VOC<year>` below it.

    Args:
        root: `VOCdevkit`, the folder that holds it, or the year's own folder.
        year: of the folder `VOC<year>`.
        advice: what to do where nothing looks like VOC.

    Raises:
        DatasetError: when it is not found, naming the years that are there.
    """
    root = needed_folder(root, "VOCdevkit, or a folder of one year")
    places = [root, inside(root, f"VOC{year}"), inside(root, f"VOCdevkit/VOC{year}")]
    for place in places:
        if is_folder(place / "JPEGImages") and is_folder(place / "Annotations"):
            return place
    there = ", ".join(_years(root))
    if there:
        advice = f"there is {there}" + ("; choose it with --year" if advice == OTHER_PICTURES else f", and {advice}")
    raise DatasetError(f"{root}: neither it nor VOC{year} below it holds JPEGImages and Annotations; {advice}")


def _years(root: Path) -> list[str]:
    """The folders `VOC<year>` below a root, a few."""
    found = {path.name for folder in (root, root / "VOCdevkit") for path in folder.glob("VOC[12]*") if is_folder(path)}
    return sorted(name for name in found if name.isprintable())[:MOST_TOLD]


def read_list(folder: Path, split: str) -> list[str]:
    """The names in a list of pictures, one a line.

    Raises:
        DatasetError: when the list is missing or empty, or has a name twice.
    """
    path = inside(folder, f"{split}.txt")
    if not is_file(path):
        lists = sorted(p.stem for p in folder.glob("*.txt") if p.stem.isprintable()) if is_folder(folder) else []
        there = ", ".join(([name for name in lists if "_" not in name] or lists)[:MOST_TOLD])
        advice = f"choose one of these with --image-set: {there}" if there else "fetch the data set again"
        raise DatasetError(f"{path}: there is no such list of pictures; {advice}")
    names = [line.strip() for line in read_text(path, LARGEST_LIST).split("\n") if line.strip()]
    if not names:
        raise DatasetError(f"{path}: names no pictures; choose another with --image-set")
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DatasetError(f"{path}: names {twice[:80]!r} twice; remove one of the two lines")
    return names


def read_entry(base: Path, name: str) -> VocEntry:
    """A picture by its name, with its annotation; raises `DatasetError` when either is missing or malformed."""
    source = inside(base / "Annotations", f"{name}.xml")
    annotation = read_voc_xml(source)
    picture = inside(base / "JPEGImages", annotation.file_name, source)
    if not is_file(picture):
        raise DatasetError(
            f"{picture}: there is no such picture, and {source} names it; add it, or correct <filename> there"
        )
    return VocEntry(name, picture, annotation)


def sizes_told(groups: Sequence[Group]) -> str:
    """How large the groups are, in a sentence."""
    sizes = sorted((len(group.pictures), group.name) for group in groups)
    (least, small), (most, large) = sizes[0], sizes[-1]
    return f"{counted(len(groups), 'set')} of {least} ({small}) to {most} ({large}) pictures"


def foreign_classes(entries: Sequence[VocEntry]) -> list[str]:
    """A note on objects of classes that are none of the 20."""
    labels = [o.label for entry in entries for o in entry.annotation.objects if o.label not in CLASSES]
    if not labels:
        return []
    return [f"{counted(len(labels), 'object')} of other classes passed over ({', '.join(sorted(set(labels)))[:200]})"]


def _group(base: Path, label: str, entries: Sequence[VocEntry], rule: Rule, clean: bool, segmentation: bool) -> Group:
    pictures = []
    for entry in entries:
        if entry.kept(label, rule):
            boxes = tuple(o.box for o in entry.of(label) if o.clean or not clean)
            mask = _mask(base, entry.name, label) if segmentation else None
            pictures.append(Annotated(entry.picture, entry.annotation.size, boxes, mask))
    return Group(label, tuple(pictures))


def _mask(base: Path, name: str, label: str) -> MaskSource | None:
    path = base / "SegmentationClass" / f"{name}.png"
    return MaskFile(path, VOID, CLASSES.index(label) + 1) if is_file(path) else None


def _compared(groups: Sequence[Group], split: str, year: str) -> list[str]:
    """The sizes beside the paper's, where they may be compared."""
    if (split, year) != ("trainval", "2007"):
        return []
    sizes = [len(group.pictures) for group in groups]
    same = len(groups) == len(CLASSES) and (min(sizes), max(sizes)) == PAPER_SIZES
    verdict = "the same" if same else "another filter, or not the whole set"
    return [f"the DFF paper has 20 sets of {PAPER_SIZES[0]} to {PAPER_SIZES[1]} pictures: {verdict}"]


def _lists_compared(base: Path, split: str, entries: Sequence[VocEntry]) -> list[str]:
    """A note for each class whose own list (1, or 0 where all are difficult; else -1) and XML files disagree."""
    notes = []
    for label in CLASSES:
        path = base / "ImageSets" / "Main" / f"{label}_{split}.txt"
        if is_file(path):
            flags = _flags(path)
            wrong = sum(entry.name in flags and flags[entry.name] != bool(entry.of(label)) for entry in entries)
            if wrong:
                notes.append(f"{path.name} and the annotations disagree on {counted(wrong, 'picture')}")
    return notes


def _flags(path: Path) -> dict[str, bool]:
    """Whether each picture of a class's list has the class."""
    flags = {}
    for number, line in enumerate(read_text(path, LARGEST_LIST).split("\n"), 1):
        words = line.split()
        if words and (len(words) != 2 or words[1] not in ("1", "0", "-1")):
            raise DatasetError(f"{path}, line {number}: is {line[:60]!r}, and a name with 1, 0 or -1 is needed")
        if words:
            flags[words[0]] = words[1] != "-1"
    return flags
