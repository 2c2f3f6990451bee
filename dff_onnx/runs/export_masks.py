"""`dff-onnx masks`: the masks of a run under the names of its concepts, as COCO, as VOC, or as plain PNG files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.files import is_nobodys, is_run_folder, output_names, printable, write_atomically
from dff_onnx.maps import evidence, mask, regions_of, upsample
from dff_onnx.plain_text import is_plain
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.coco_instances import AddMask, coco_instances
from dff_onnx.report.labels_file import Labels
from dff_onnx.report.overlays import Colour
from dff_onnx.report.palette import colour
from dff_onnx.report.voc_files import MOST_CLASSES, annotation_xml, class_png, mask_png
from dff_onnx.runs.claim import claimed
from dff_onnx.runs.label import labels_of
from dff_onnx.runs.stored import RESULTS, StoredRun

Format = Literal["coco", "voc", "png"]
USUAL: tuple[Format, ...] = ("coco", "voc")
INSTANCES, CLASS_LIST = "instances.json", "labels.txt"
NO_WORD = re.compile(r"[^\w-]+")
CLASSES, ANNOTATIONS, MASKS = "SegmentationClass", "Annotations", "masks"


@dataclass(frozen=True, slots=True)
class Part:
    """What is exported under one name.

    Attributes:
        name: of one concept or of several, whose masks are united.
        concepts: their numbers.
        colour: in palettes.
    """

    name: str
    concepts: tuple[int, ...]
    colour: Colour


@dataclass(frozen=True, slots=True)
class Painted:
    """One picture's masks.

    Attributes:
        masks: `(parts, H, W)`.
        classes: `(H, W)`, 0 or the place of the strongest part from 1.
    """

    masks: NDArray[np.bool_]
    classes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: the parts, and how many files stand in the folder."""

    parts: tuple[Part, ...]
    files: int


def export_masks(
    run: StoredRun,
    out: str | Path,
    formats: Sequence[Format] = USUAL,
    only: Sequence[str] = (),
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Writes the masks of a run, one picture after the other. The pictures themselves are not needed.

    Args:
        run: from `read_run`.
        out: a folder of its own; the same call on it repeats the export.
        formats: `coco`, `voc`, `png`.
        only: names to export; all by default.
        overwrite: replace an export of other settings.
        progress: follows the pictures.

    Raises:
        UsageError: when a format or name is unknown, `out` holds something else, or the names are not those of the run.
        RefusedError: when the run is damaged.
        OutputError: when a file cannot be written.
    """
    out, parts = Path(out), parts_of(run, only)
    _check(run, out, formats, parts)
    identity = {
        "export": {"run": printable(run.home.resolve()), "formats": sorted(set(formats)), "only": sorted(set(only))}
    }
    with claimed(out, run.folder, identity, overwrite) as work:
        work.settle()
        written = _Export(run, out, parts, formats).write(progress or Silent())
        _remove_others(out, written)
    return Exported(parts, len(written))


def parts_of(run: StoredRun, only: Sequence[str] = ()) -> tuple[Part, ...]:
    """What a run's masks are exported as.

    Concepts of one name are one part. Concepts without a name are left out once any has one (a person who leaves a
    name empty means the background); where none has, all are `concept 0` and so on. Class maps go by their classes.

    Args:
        run: from `read_run`.
        only: names, also of one of the parts that a concept shows together; none for all.

    Raises:
        UsageError: when no part has such a name, and as `labels_of`.
    """
    labels = _classes_of(run) if run.found.class_maps else labels_of(run)
    numbered = {f"concept {n}": (n,) for n in range(max((len(image.concepts) for image in run.images), default=0))}
    together: dict[str, tuple[int, ...]] = {}
    for number, name in enumerate(labels.names):
        if name is not None:
            together[name] = (*together.get(name, ()), number)
    known = together or numbered
    if only:
        holders = {name: {part for n in numbers for part in _parts(labels.parts, n)} for name, numbers in known.items()}
        for name in only:
            if not any(name == key or name in holders[key] for key in known):
                raise UsageError(f"--only: nothing is called {ascii(name)[:70]}; known: {', '.join(known)[:200]}")
        known = {key: numbers for key, numbers in known.items() if key in only or holders[key] & set(only)}
    return tuple(Part(name, numbers, colour(numbers[0])) for name, numbers in known.items())


def paint(run: StoredRun, index: int, parts: Sequence[Part]) -> Painted:
    """The masks of a picture, one concept at a time in memory.

    Where parts overlap, the class is that of the concept with the larger value relative to its threshold (which, as
    for the CRF, counts for at least a small share of the concept's peak).
    """
    stored, size = run.maps(index), run.images[index].size
    masks = np.zeros((len(parts), size.height, size.width), np.bool_)
    classes, best = np.zeros(masks.shape[1:], np.uint8), np.zeros(masks.shape[1:], np.float32)
    for place, part in enumerate(parts):
        for j in part.concepts:
            one = slice(j, j + 1)
            values = upsample(stored.maps[one], size.height, size.width)
            on = mask(values, stored.thresholds[one])[0]
            strength = evidence(values, stored.thresholds[one], stored.peaks[one])[0]
            wins = on & (strength > best)
            best[wins] = strength[wins]
            classes[wins] = min(place + 1, 255)
            masks[place] |= on
    return Painted(masks, classes)


@dataclass(frozen=True, slots=True)
class _Export:
    run: StoredRun
    out: Path
    parts: tuple[Part, ...]
    formats: Sequence[Format]

    def write(self, progress: Progress) -> set[Path]:
        """Writes everything; returns the files."""
        names = [part.name for part in self.parts]
        written: set[Path] = set()
        progress.start("exporting", len(self.run.images))
        with single_threaded_blas(), ExitStack() as open_files:  # as the run measured its regions; products are small
            add = None
            if "coco" in self.formats:
                written.add(self.out / INSTANCES)
                add = open_files.enter_context(coco_instances(self.out / INSTANCES, self.run.images, names))
            for index, stem in enumerate(self._stems()):
                painted = paint(self.run, index, self.parts)
                self._add(add, index, painted)
                for path, data in self._files(index, stem, painted):
                    write_atomically(path, data)
                    written.add(path)
                progress.advance()
        if "voc" in self.formats:
            written.add(self.out / CLASS_LIST)
            write_atomically(self.out / CLASS_LIST, "".join(f"{name}\n" for name in ("background", *names)).encode())
        return written

    def _stems(self) -> list[str]:
        """Of each picture's files: the tree of the pictures, no two alike."""
        paths = [Path(image.path) for image in self.run.images]
        return [str(name).removesuffix(".png") for name in output_names(paths, ".png")]

    def _add(self, add: AddMask | None, index: int, painted: Painted) -> None:
        if add is not None:
            here = self.run.images[index].concepts
            for place, part in enumerate(self.parts):
                add(index, place, painted.masks[place], max(here[j].score for j in part.concepts))

    def _files(self, index: int, stem: str, painted: Painted) -> Iterator[tuple[Path, bytes]]:
        """A picture's own files."""
        image = self.run.images[index]
        if "voc" in self.formats:
            found = regions_of(painted.masks, self.run.min_share)
            boxes = [(p.name, one.box) for p, here in zip(self.parts, found, strict=True) for one in here.regions]
            yield self.out / CLASSES / f"{stem}.png", class_png(painted.classes, [part.colour for part in self.parts])
            yield self.out / ANNOTATIONS / f"{stem}.xml", annotation_xml(image.path, image.size, boxes)
        if "png" in self.formats:
            for number, part in enumerate(self.parts):
                folder = f"{number + 1}_{NO_WORD.sub('_', part.name)[:50]}"
                yield self.out / MASKS / folder / f"{stem}.png", mask_png(painted.masks[number])


def _classes_of(run: StoredRun) -> Labels:
    """The classes that were mapped in every picture, as labels."""
    tables = {tuple((one.class_number, one.name) for one in image.table) for image in run.images}
    if len(tables) > 1:
        raise UsageError(
            f"{run.home}: has maps of each picture's best classes, and pictures differ in them; map the same classes "
            "in all with `dff-onnx cam --classes NAME,NAME`, then export"
        )
    names = [name for _, name in next(iter(tables), ())]
    if any(name is not None and not is_plain(name) for name in names):
        raise RefusedError(f"{run.home / RESULTS}: a class's name holds a control character; make the run again")
    return Labels(tuple((name,) if name else () for name in names))


def _parts(parts: Sequence[Sequence[str]], number: int) -> Sequence[str]:
    return parts[number] if number < len(parts) else ()


def _check(run: StoredRun, out: Path, formats: Sequence[Format], parts: Sequence[Part]) -> None:
    for name in formats:
        if name not in get_args(Format):
            raise UsageError(f"--format: {ascii(name)[:40]} is not one of {', '.join(get_args(Format))}")
    if not formats:
        raise UsageError(f"--format: give one of {', '.join(get_args(Format))}")
    if not parts:
        raise UsageError(f"{run.home}: has no pictures, so there are no masks to export")
    if "voc" in formats and len(parts) > MOST_CLASSES:
        raise UsageError(f"--format voc: {len(parts)} names are more than the {MOST_CLASSES} it has room for; use coco")
    if is_run_folder(out) and (out / RESULTS).exists():  # not even --overwrite mixes the two
        raise UsageError(f"{out}: holds the results of a run; choose another folder with -o")
    if not is_nobodys(out) and not is_run_folder(out):
        raise UsageError(
            f"{out}: is not empty and holds no export of masks; choose another folder with -o, or empty it"
        )


def _remove_empty(root: Path) -> None:
    """Folders below and with the root in which nothing is left; links stay."""
    for folder, _, _ in os.walk(root, topdown=False):
        if not Path(folder).is_symlink() and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def _remove_others(out: Path, written: set[Path]) -> None:
    """Files of an earlier export that this one has not."""
    try:
        earlier = [out / INSTANCES, out / CLASS_LIST]
        for folder in (CLASSES, ANNOTATIONS, MASKS):
            earlier += (path for path in (out / folder).rglob("*") if path.is_file())
        for path in earlier:
            if path not in written:
                path.unlink(missing_ok=True)
        for folder in (CLASSES, ANNOTATIONS, MASKS):
            _remove_empty(out / folder)
    except OSError as error:
        raise OutputError(f"{error.filename}: an earlier file cannot be removed ({error.strerror})") from error
