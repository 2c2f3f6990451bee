"""Fine-grained recognition: a linear SVM on deep features of full pictures, and of what its own class maps cut out.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016), section
4.1: the box around the largest part of the map above 20 % of its maximum stands in for the box that people drew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.protocol import Activations
from dff_onnx.cam.boxes import FRACTION, largest_box, map_regions
from dff_onnx.cam.class_maps import class_maps
from dff_onnx.datasets.cub import LabelledPicture, LabelledSet
from dff_onnx.datasets.dataset import clipped, counted
from dff_onnx.errors import DatasetError, ImageError, NoImagesError
from dff_onnx.files import printable
from dff_onnx.images import Picture, Resize, read_original, read_picture
from dff_onnx.images.query_crop import WHOLE
from dff_onnx.learning.svm import answers, fit_svm
from dff_onnx.linear_head import LinearHead, Pool
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Box, Grid
from dff_onnx.report.found import Failure
from dff_onnx.report.names import shown
from dff_onnx.runs.features import pooled_rows
from dff_onnx.runs.gather import NOTHING, Block, Gathered, gathering
from dff_onnx.runs.keep import Keep, arrays_sha256, boxes_sha256, keep_in
from dff_onnx.runs.parts import Batch, channels_last, stacked

StepName = Literal["full image", "map crop", "true box"]

Boxes = dict[int, Box | None]


@dataclass(frozen=True, slots=True)
class FineSettings:
    """How the classifiers are trained.

    Attributes:
        resize: of pictures and of crops.
        pool: of the places.
        C: of the machines; None for cross-validation on the train set.
        unit: bring features to unit length first.
        fraction: of a map's maximum that is above it.
    """

    resize: Resize
    pool: Pool = "mean"
    C: float | None = 1.0
    unit: bool = True
    fraction: float = FRACTION


@dataclass(frozen=True, slots=True)
class Step:
    """One way to look at a picture.

    Attributes:
        name: what is looked at.
        C: of its machine.
        converged: whether its solver ended before its steps did.
        found: the class that each test picture was given.
    """

    name: StepName
    C: float
    converged: bool
    found: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FinePicture:
    """One picture of the test set.

    Attributes:
        path: relative to the set's folder.
        label: number of its class.
        crop: `x0 y0 x1 y1` of what the class map cut out; None where it cut out nothing, and all was looked at.
    """

    path: str
    label: int
    crop: Box | None


@dataclass(frozen=True, slots=True)
class FineFigures:
    """An evaluation of fine-grained recognition.

    Attributes:
        dataset: its name.
        classes: their names.
        settings: how.
        fingerprint, device: of the network.
        trained: pictures of the train set that were used.
        pictures: of the test set that were used.
        steps: in order.
        failures: pictures that could not be used.
        notes: sentences a user should see.
    """

    dataset: str
    classes: tuple[str, ...]
    settings: FineSettings
    fingerprint: dict[str, object]
    device: str
    trained: int
    pictures: tuple[FinePicture, ...]
    steps: tuple[Step, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def evaluate_finegrained(
    dataset: LabelledSet,
    activations: Activations,
    settings: FineSettings,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> FineFigures:
    """Trains and tests a machine on full pictures, on crops by its own maps, and on crops by the true boxes.

    A picture's crop is the box of the map of the class that the first machine gives it, in the train set as in the test
    set. Crops are cut from the picture at its own size, then resized.

    Args:
        dataset: with a train and a test set.
        activations: the network.
        settings: how.
        progress: follows the pictures, which go through the network four times.
        resume: a folder for it alone, where features are kept for an evaluation that may be killed; None for none.

    Raises:
        NoImagesError: when not one picture can be used.
        OutputError: when features cannot be kept.
        DatasetError: when a class has no usable picture in the train set, the test set has none, or a box lies outside
            its picture.
        UsageError: as `fit_svm`.
        ModelError: when activations are not finite.
    """
    keep = keep_in(resume, dataset.root, activations) if resume else None
    work = _Work(dataset, activations, settings, progress or Silent(), keep)
    full = work.rows("full pictures", range(len(dataset.pictures)), work.whole)
    first, head = work.step("full image", full)
    boxes, lost = work.boxes(full, head)
    cut = {"boxes": boxes_sha256(boxes.values())}
    crops = work.rows("crops by maps", list(boxes), lambda index: work.crop(index, boxes[index]), cut)
    second, _ = work.step("map crop", crops)
    known = {"boxes": boxes_sha256(dataset.pictures[index].box for index in crops.items)}
    truths = work.rows("crops by true boxes", crops.items, work.true_crop, known)
    third, _ = work.step("true box", truths)
    return work.figures(((first, full), (second, crops), (third, truths)), boxes, lost)


def read_crop(path: Path, box: Box | None, resize: Resize) -> Picture:
    """A part of a picture, cut out at full resolution and then resized (bilinear, antialiased).

    Args:
        path: of the picture.
        box: in its pixels, after its EXIF turn, inside it; None for all of it.
        resize: of the part.

    Raises:
        ImageError: when the file cannot be used.
    """
    return read_picture(path, resize) if box is None else _cut(read_original(path, WHOLE), box, resize)


def _cut(pixels: NDArray[np.uint8], box: Box, resize: Resize) -> Picture:
    part = pixels[box.y0 : box.y1, box.x0 : box.x1]
    size = Grid(*part.shape[:2])
    image = Image.fromarray(np.ascontiguousarray(part))
    small = image.resize(resize.target(size.width, size.height), Image.Resampling.BILINEAR)
    return Picture(np.asarray(small, np.uint8), size)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Features of pictures that could be read, those pictures' places in the set, and the others."""

    values: NDArray[np.float32]
    items: list[int]
    failed: dict[int, ImageError]


@dataclass(frozen=True, slots=True)
class _Work:
    dataset: LabelledSet
    activations: Activations
    settings: FineSettings
    progress: Progress
    keep: Keep | None

    def path(self, index: int) -> Path:
        return self.dataset.pictures[index].path

    def rows(
        self, stage: str, indexes: Sequence[int], read: Callable[[int], Picture], of: Mapping[str, str] | None = None
    ) -> _Rows:
        """Features of some pictures, by their places in the set; `of` is what they depend on beside the settings."""
        pool = self.settings.pool
        with self._gathering(stage, indexes, {"pool": pool, **(of or {})}) as rows:
            found = pooled_rows(rows, lambda place: read(indexes[place]), self.activations, pool, self.progress)
        failed = {indexes[place]: error for place, error in found.failed.items()}
        if not found.places:
            first = next(iter(failed))
            raise NoImagesError(
                f"{self.dataset.root}: not one of {counted(len(indexes), 'picture')} can be used; the first: "
                f"{self._name(first)}: {failed[first].reason}"
            )
        return _Rows(found.values, [indexes[place] for place in found.places], failed)

    @contextmanager
    def _gathering(self, stage: str, indexes: Sequence[int], of: Mapping[str, Any]) -> Iterator[Gathered]:
        """A stage over some pictures of the set."""
        self.progress.start(stage, len(indexes))
        root, resize = self.dataset.root, self.settings.resize
        paths = [self.path(index).relative_to(root) for index in indexes]
        of = {"size": [resize.mode, resize.pixels], **of}
        with gathering(root, paths, self.keep, stage.replace(" ", "-"), of) as rows:
            yield rows

    def step(self, name: StepName, rows: _Rows) -> tuple[Step, LinearHead]:
        """A machine, trained on the train set and asked of all."""
        known = [self.dataset.pictures[index] for index in rows.items]
        self._check(known)
        train = np.asarray([picture.train for picture in known])
        labels = np.asarray([picture.label for picture in known])
        settings = self.settings
        fitted = fit_svm(
            rows.values[train],
            labels[train],
            len(self.dataset.classes),
            C=settings.C,
            unit=settings.unit,
            pool=settings.pool,
        )
        found = answers(np.asarray(fitted.head.of_pooled(rows.values)))
        return Step(name, fitted.C, fitted.converged, tuple(found.tolist())), fitted.head

    def boxes(self, rows: _Rows, head: LinearHead) -> tuple[Boxes, dict[int, ImageError]]:
        """Of each picture, the box of the map of the class that it is given; pictures that are no longer there."""
        items, fraction = rows.items, self.settings.fraction
        classes = answers(np.asarray(head.of_pooled(rows.values)))

        def look(batch: Batch[int]) -> Block:
            features = channels_last(self.activations(stacked(batch)))
            maps = to_numpy(class_maps(features, head, classes[[place for place, _ in batch]][:, None]))
            each = zip(maps, batch, strict=True)
            boxes = [largest_box(map_regions(one, picture.original, fraction)[0]) for one, (_, picture) in each]
            return Block(NOTHING, figures=[None if box is None else astuple(box) for box in boxes])

        of = {"maps": arrays_sha256(head.weights, classes), "fraction": fraction}
        with single_threaded_blas(), self._gathering("class maps", items, of) as found:
            found.fill(lambda place: self.whole(items[place]), look, self.activations.workers, self.progress)
        boxes = [None if figures is None else Box(*figures) for figures in found.figures]
        kept = [items[place] for place in found.places]
        return dict(zip(kept, boxes, strict=True)), {items[place]: error for place, error in found.failed.items()}

    def whole(self, index: int) -> Picture:
        """All of a picture."""
        return read_picture(self.path(index), self.settings.resize)

    def crop(self, index: int, box: Box | None) -> Picture:
        return read_crop(self.path(index), box, self.settings.resize)

    def true_crop(self, index: int) -> Picture:
        """What the set's own box cuts out."""
        known = self.dataset.pictures[index]
        pixels = read_original(known.path, WHOLE)
        box = clipped(known.box, Grid(*pixels.shape[:2]))
        if box is None:
            raise DatasetError(
                f"{known.path}: its box {known.box.x0},{known.box.y0},{known.box.x1},{known.box.y1} lies outside its "
                f"{pixels.shape[1]}x{pixels.shape[0]} pixels; fetch the set again"
            )
        return _cut(pixels, box, self.settings.resize)

    def figures(self, steps: Sequence[tuple[Step, _Rows]], boxes: Boxes, lost: dict[int, ImageError]) -> FineFigures:
        """What all steps say of the test pictures that all could use."""
        last = steps[-1][1].items
        used = [index for index in last if not self.dataset.pictures[index].train]
        failures = lost | {index: error for _, rows in steps for index, error in rows.failed.items()}
        return FineFigures(
            dataset=shown(self.dataset.name),
            classes=tuple(map(shown, self.dataset.classes)),
            settings=self.settings,
            fingerprint=self.activations.fingerprint.to_dict(),
            device=self.activations.device,
            trained=len(last) - len(used),
            pictures=tuple(
                FinePicture(self._name(index), self.dataset.pictures[index].label, boxes[index]) for index in used
            ),
            steps=tuple(_asked(step, rows, used) for step, rows in steps),
            failures=tuple(Failure(self._name(index), failures[index].reason) for index in sorted(failures)),
            notes=tuple(_notes([step for step, _ in steps], [boxes[index] for index in used])),
        )

    def _name(self, index: int) -> str:
        return printable(self.path(index).relative_to(self.dataset.root))

    def _check(self, known: Sequence[LabelledPicture]) -> None:
        trained = {picture.label for picture in known if picture.train}
        if len(trained) < len(self.dataset.classes):
            lost = next(name for number, name in enumerate(self.dataset.classes) if number not in trained)
            raise DatasetError(f"{self.dataset.root}: no picture of {shown(lost)[:80]} in the train set can be used")
        if all(picture.train for picture in known):
            raise DatasetError(f"{self.dataset.root}: no picture of the test set can be used")


def _asked(step: Step, rows: _Rows, used: Sequence[int]) -> Step:
    """A step's answers on some pictures alone."""
    found = dict(zip(rows.items, step.found, strict=True))
    return Step(step.name, step.C, step.converged, tuple(found[index] for index in used))


def _notes(steps: Sequence[Step], boxes: Sequence[Box | None]) -> list[str]:
    notes = []
    if none := sum(box is None for box in boxes):
        notes.append(f"{counted(none, 'test picture')} whose map is nowhere above zero: all of it was looked at")
    notes += [f"{step.name}: the solver ran out of steps (C = {step.C:g})" for step in steps if not step.converged]
    return notes
