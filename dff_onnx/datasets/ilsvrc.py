"""ILSVRC's classification and localization task: what is true of the pictures of its validation set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dff_onnx.datasets.dataset import counted
from dff_onnx.datasets.ilsvrc_files import (
    LARGEST,
    SYNSET,
    Boxes,
    read_annotation,
    read_blacklist,
    read_labels,
    read_solution,
    read_synset_map,
)
from dff_onnx.datasets.paths import is_file, is_folder, read_text
from dff_onnx.errors import DatasetError, UsageError

NAME = "ILSVRC CLS-LOC validation"
# Where the annotations lie, in the archives' own layout, Kaggle's, and that of the later years.
ANNOTATIONS = (
    "ILSVRC/Annotations/CLS-LOC/val",
    "Annotations/CLS-LOC/val",
    "ILSVRC2012_bbox_val_v3/val",
    "ILSVRC2012_bbox_val_v3",
    "bbox_val",
    "val",
    ".",
)
KIT = ("", "data", "devkit/data", "ILSVRC/devkit/data", "*/data", "*/devkit/data")
LABELS, BLACKLIST, MAP, SOLUTION = (
    "ILSVRC*_validation_ground_truth.txt",
    "ILSVRC*_validation_blacklist.txt",
    "map_clsloc.txt",
    "LOC_val_solution.csv",
)
OTHER_TASKS = re.compile("_(det|vid)_")
NUMBERED = re.compile("_([0-9]{8})$")


@dataclass(frozen=True, slots=True)
class IlsvrcPicture:
    """What is true of one picture.

    Attributes:
        name: without folder and suffix: `ILSVRC2012_val_00000001`.
        truths: the boxes of each of its labels (synsets); nearly always there is one label.
        blacklisted: whether its boxes are too poor to be compared with.
    """

    name: str
    truths: Boxes
    blacklisted: bool = False


@dataclass(frozen=True, slots=True)
class Ilsvrc:
    """The validation set.

    Attributes:
        name: for the head of a table.
        pictures: sorted by their names.
        synsets: by ILSVRC's own numbers; empty where the development kit's map was not found.
        notes: sentences a user should see.
    """

    name: str
    pictures: tuple[IlsvrcPicture, ...]
    synsets: Mapping[int, str]
    notes: tuple[str, ...] = ()


@dataclass
class _Kit:
    """What the development kit says; None where a file of it was not found."""

    labels: Path | None = None
    blacklist: Path | None = None
    map: Path | None = None
    notes: list[str] = field(default_factory=list)


def read_ilsvrc(dataset: str | Path, truth: Sequence[str | Path] = ()) -> Ilsvrc:
    """Reads the validation set.

    Args:
        dataset: Kaggle's `LOC_val_solution.csv`, or a folder that holds it or the annotations `*.xml` (the archives'
            layouts are known, or the folder of the files themselves). Files of the development kit are found there.
        truth: files of the development kit that lie elsewhere: ground truth, blacklist, `map_clsloc.txt`. They come
            before those in the folder.

    The labels are those of the ground truth; without it, those of the annotations. The blacklist and the ground truth
    speak of the n-th picture: the one whose name ends in n, or the n-th by name where names have no numbers.

    Raises:
        UsageError: when there is no such path.
        DatasetError: naming the file that is missing, malformed or of another size than others.
    """
    dataset = Path(dataset)
    if not (is_file(dataset) or is_folder(dataset)):
        raise UsageError(f"DATASET {dataset}: there is no such path; give ILSVRC's folder or LOC_val_solution.csv")
    kit = _kit(dataset if is_folder(dataset) else dataset.parent, [Path(path) for path in truth])
    boxes = _boxes(dataset)
    numbers = _numbers_of(boxes)
    synsets = read_synset_map(kit.map) if kit.map else {}
    blacklist = read_blacklist(kit.blacklist) if kit.blacklist else frozenset[int]()
    truths = _of_labels(dataset, boxes, numbers, kit, synsets) if kit.labels else _of_annotations(dataset, boxes)
    pictures = tuple(IlsvrcPicture(name, truths[name], numbers[name] in blacklist) for name in sorted(boxes))
    return Ilsvrc(NAME, pictures, synsets, (*kit.notes, *_notes(kit, pictures)))


def _notes(kit: _Kit, pictures: Sequence[IlsvrcPicture]) -> Iterable[str]:
    if kit.blacklist is None:
        yield f"no blacklist ({BLACKLIST}) was found: all pictures count in localization"
    bare = sum(not boxes for one in pictures if not one.blacklisted for boxes in one.truths.values())
    if bare:
        yield f"{counted(bare, 'label')} without a box: no guess can be right there in localization"


def _boxes(dataset: Path) -> Mapping[str, Boxes]:
    """Of each picture, from annotations or Kaggle's table."""
    if is_file(dataset):
        return read_solution(dataset)
    for place in ANNOTATIONS:
        if found := _annotations(dataset / place):
            return {path.stem: read_annotation(path) for path in found}
    if is_file(dataset / SOLUTION):
        return read_solution(dataset / SOLUTION)
    raise DatasetError(
        f"{dataset}: holds neither annotations (ILSVRC2012_val_*.xml) nor {SOLUTION}; give ILSVRC's folder or that file"
    )


def _annotations(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(".xml") and not entry.name.startswith(".")]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _numbers_of(names: Iterable[str]) -> dict[str, int]:
    """The number of each picture, from 1."""
    ordered = sorted(names)
    said = [NUMBERED.search(name) for name in ordered]
    numbers = [int(one[1]) if one else 0 for one in said]
    own = all(numbers) and len(set(numbers)) == len(numbers)
    return dict(zip(ordered, numbers if own else range(1, len(ordered) + 1), strict=True))


def _of_labels(
    dataset: Path, boxes: Mapping[str, Boxes], numbers: Mapping[str, int], kit: _Kit, synsets: Mapping[int, str]
) -> dict[str, Boxes]:
    """Boxes of the labels that the ground truth gives; those of other labels do not count."""
    path = kit.labels or dataset
    lines = read_labels(path)
    if not synsets:
        raise DatasetError(f"{path}: has ILSVRC's own numbers of classes, and {MAP} is needed; give it with --truth")
    if max(numbers.values()) > len(lines):
        raise DatasetError(
            f"{path}: has {len(lines)} lines, and {dataset} a picture of the number {max(numbers.values())}; one line "
            "for each picture is needed"
        )
    if len(lines) > len(numbers):
        kit.notes.append(f"{counted(len(lines) - len(numbers), 'picture')} of {path.name} without annotation: left out")
    unknown = {number for line in lines for number in line} - synsets.keys()
    if unknown:
        raise DatasetError(f"{path}: has the class {min(unknown)}, which {kit.map} has not; give files of one year")
    return {
        name: {synsets[own]: tuple(mine.get(synsets[own], ())) for own in lines[numbers[name] - 1]}
        for name, mine in boxes.items()
    }


def _of_annotations(dataset: Path, boxes: Mapping[str, Boxes]) -> Mapping[str, Boxes]:
    for name, mine in boxes.items():
        if not mine:
            raise DatasetError(f"{dataset}: {name} has no object and so no label; give {LABELS} with --truth")
    return boxes


def _kit(folder: Path, said: Sequence[Path]) -> _Kit:
    """The development kit's files: those that were given, then those in the folder."""
    kit = _Kit()
    for path in said:
        kind = _kind(path)
        if getattr(kit, kind) is not None:
            raise UsageError(f"--truth {path}: is a second file of its kind beside {getattr(kit, kind)}; give one")
        setattr(kit, kind, path)
    for kind, pattern in (("labels", LABELS), ("blacklist", BLACKLIST), ("map", MAP)):
        if getattr(kit, kind) is None:
            setattr(kit, kind, _found(folder, pattern))
    return kit


def _kind(path: Path) -> str:
    """Which of the kit's files a path is."""
    if not is_file(path):
        raise UsageError(f"--truth {path}: there is no such file; give one of the development kit")
    words = read_text(path, LARGEST)[:200].split()
    if words and SYNSET.fullmatch(words[0]):
        return "map"
    if not words or words[0].isdecimal():
        return "blacklist" if "blacklist" in path.name.lower() else "labels"
    raise UsageError(f"--truth {path}: is neither {LABELS}, {BLACKLIST} nor {MAP}; give one of these")


def _found(folder: Path, pattern: str) -> Path | None:
    """The one file of that name in the folder; None where there is none."""
    found: dict[str, Path] = {}
    for place in KIT:
        for path in sorted(folder.glob(f"{place}/{pattern}" if place else pattern)):
            if is_file(path) and not OTHER_TASKS.search(path.name):
                found.setdefault(read_text(path, LARGEST).strip(), path)
    if len(found) > 1:
        several = " and ".join(str(path) for path in list(found.values())[:2])
        raise DatasetError(f"{several}: differ; say with --truth which one counts")
    return next(iter(found.values()), None)
