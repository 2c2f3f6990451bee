"""A folder of pictures becomes class maps: the whole way, nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.protocol import Activations
from dff_onnx.cam.class_maps import ranked_classes
from dff_onnx.cam.guesses import Guess
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.errors import ImageError, UsageError
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.images import Picture, read_picture
from dff_onnx.maps import MaskFound
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Grid
from dff_onnx.report.figures import ClassMapsFound
from dff_onnx.report.found import Answer, ConceptFound, ConceptInImage, Found, ImageFound
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.report.predictions import Prediction
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.class_evidence import source_of
from dff_onnx.runs.collect import none_usable, rows_of
from dff_onnx.runs.crops import Looked, look
from dff_onnx.runs.discovery import failure_of
from dff_onnx.runs.gather import Block, Gathered, gathering, sizes_of
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.map_boxes import Boxed, boxed, guesses_of
from dff_onnx.runs.mapping import Mapping
from dff_onnx.runs.parts import BATCH, Batch, stacked
from dff_onnx.runs.seen import Seen
from dff_onnx.threads import available_cores, in_order

ANSWERS = 5  # of a picture, listed whatever is mapped


@dataclass(frozen=True, slots=True)
class ClassMaps:
    """What class maps were made, with the arrays.

    Attributes:
        folder: that the paths are relative to.
        settings: they were made with.
        found: answers, scores, boxes: see `dff_onnx.report.found`; each image's `table` has its classes.
        paths: of the pictures, in the order of `found.images`.
        maps: `(m, h, w)` of each picture, one map for each entry of its table.
        predictions: the guesses of all pictures, a picture's best first.
    """

    folder: Path
    settings: CamSettings
    found: Found
    paths: tuple[Path, ...]
    maps: Sequence[NDArray[np.float32]]
    predictions: tuple[Prediction, ...]

    @property
    def images(self) -> Sequence[ImageFound]:
        """What was found in each picture, in sorted order."""
        return self.found.images


@dataclass(frozen=True, slots=True)
class _Mapped:
    """One picture, before anything is known of the others.

    Attributes:
        seen: the picture.
        answers: its best classes.
        classes, scores, shares: the classes that were asked for, their scores and probabilities.
        shown, highest, boxed: of each map its class (None for one that is of no class), its highest value, its boxes.
    """

    seen: Seen
    answers: tuple[Answer, ...]
    classes: tuple[int, ...]
    shown: tuple[int | None, ...]
    highest: tuple[float, ...]
    scores: NDArray[np.float32]
    shares: NDArray[np.float64]
    boxed: tuple[Boxed, ...]


def make_class_maps(
    folder: str | Path,
    activations: Activations,
    mapping: Mapping,
    names: ClassNames,
    settings: CamSettings | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> ClassMaps:
    """Asks a classifier about the pictures of a folder, and where it looks.

    Workers take parts of the list side by side (`in_parts`). Activations are not kept.

    Args:
        folder: of pictures, or one picture.
        activations: the network up to the features that `mapping` takes.
        mapping: how features become scores and maps.
        names: of all classes.
        settings: which classes, and how; the top 5 at 224 x 224 by default.
        progress: follows the pictures.
        keep: where maps are kept for a run that may be killed; None keeps them in memory.

    Raises:
        UsageError: when there is no such folder, or no class of a number that was asked for.
        NoImagesError: when it has no usable picture.
        ModelError: when the network fails.
        OutputError: when maps cannot be kept.
    """
    folder, settings, progress = Path(folder), settings or CamSettings(), progress or Silent()
    if wrong := [number for number in settings.classes if not 0 <= number < mapping.classes]:
        raise UsageError(f"classes: there is no class {wrong[0]}; the network has 0 to {mapping.classes - 1}")
    paths = walk_pictures(folder)
    progress.start("mapping", len(paths))
    work = _Work(root_of(folder), activations, mapping, names, settings)
    of = {"method": mapping.method, **mapping.made_of, **settings.to_dict()}
    with single_threaded_blas(), gathering(work.folder, paths, keep, "class-maps", of) as rows:
        rows.fill(lambda place: work.read(paths[place]), work.batch, activations.workers, progress)
        values = rows.matrix()
        if values is None:
            raise none_usable(folder, rows.failures)
        maps = Heats(values, [one.grid for one in rows.seen])
        return _gathered(work, maps, list(_mapped(work, maps, rows)), rows.failures)


@dataclass(frozen=True, slots=True)
class _Work:
    """What every worker needs."""

    folder: Path
    activations: Activations
    mapping: Mapping
    names: ClassNames
    settings: CamSettings

    def read(self, path: Path) -> Picture:
        return read_picture(self.folder / path, self.settings.resize)

    def batch(self, batch: Batch[int]) -> Block:
        """Pictures of one size: maps as rows, and the figures of the best classes and of those that are mapped."""
        looked = look(stacked(batch), self.activations, self.mapping, self.settings)
        sizes = sizes_of(batch, Grid(*looked.maps.shape[2:]))
        best = ranked_classes(looked.probabilities, ANSWERS)
        figures = [[_figures(looked, i, best[i]), _figures(looked, i, looked.classes[i])] for i in range(len(batch))]
        return Block(np.ascontiguousarray(rows_of(looked.maps)), sizes, figures)

    def mapped(self, seen: Seen, figures: Any, maps: NDArray[np.float32], found: tuple[Boxed, ...]) -> _Mapped:
        """A picture from what was kept of it."""
        best, (classes, scores, shares) = figures
        return _Mapped(
            seen=seen,
            answers=tuple(Answer(c, self.names.names[c], score, share) for c, score, share in zip(*best, strict=True)),
            classes=tuple(classes),
            shown=tuple(classes) if self.mapping.by_class else (None,),
            highest=tuple(maps.max(axis=(1, 2)).tolist()),
            scores=np.asarray(scores, np.float32),
            shares=np.asarray(shares, np.float64),
            boxed=found,
        )


def _figures(looked: Looked, i: int, classes: NDArray[np.intp]) -> list[list[Any]]:
    """Classes of a picture, their scores and their probabilities, in plain values that a journal keeps exactly."""
    return [classes.tolist(), looked.scores[i][classes].tolist(), looked.probabilities[i][classes].tolist()]


def _mapped(work: _Work, maps: Heats, rows: Gathered) -> Iterator[_Mapped]:
    """The pictures with their boxes."""

    def some(part: range) -> list[_Mapped]:
        here = [np.ascontiguousarray(maps[i]) for i in part]
        boxes = boxed(here, [rows.seen[i].original for i in part], work.settings)
        return [
            work.mapped(rows.seen[i], rows.figures[i], one, found)
            for i, one, found in zip(part, here, boxes, strict=True)
        ]

    parts = [range(i, min(i + BATCH, len(maps))) for i in range(0, len(maps), BATCH)]
    for part in in_order(parts, some, min(len(parts), available_cores())):
        yield from part


def _gathered(work: _Work, maps: Heats, mapped: Sequence[_Mapped], failures: Sequence[ImageError]) -> ClassMaps:
    settings = work.settings
    peaks = _set_peaks(mapped) if not settings.per_image else {}
    names = work.names.apart()
    images = tuple(_image(one, work.mapping.method, names, peaks) for one in mapped)
    found = Found(
        fingerprint=work.activations.fingerprint,
        device=work.activations.device,
        scale="image" if settings.per_image else "set",
        fit=None,
        concepts=(),
        images=images,
        failures=tuple(map(failure_of, failures)),
        class_maps=ClassMapsFound(work.mapping.method, work.mapping.classes, source_of(work.names), settings.box),
    )
    return ClassMaps(
        folder=work.folder,
        settings=settings,
        found=found,
        paths=tuple(one.seen.path for one in mapped),
        maps=maps,
        predictions=tuple(guess for one in mapped for guess in _predictions(one, work)),
    )


def _set_peaks(mapped: Sequence[_Mapped]) -> dict[int | None, float]:
    """The highest value of each class over the pictures that have a map of it."""
    peaks: dict[int | None, float] = defaultdict(float)
    for one in mapped:
        for number, highest in zip(one.shown, one.highest, strict=True):
            peaks[number] = max(peaks[number], highest)
    return peaks


def _image(one: _Mapped, method: str, names: Sequence[str], peaks: dict[int | None, float]) -> ImageFound:
    table, here = [], []
    for place, (number, highest, found) in enumerate(zip(one.shown, one.highest, one.boxed, strict=True)):
        own = max(highest, 0.0)
        peak = peaks.get(number, own)
        table.append(
            ConceptFound(
                number=place,
                name=method if number is None else names[number],
                colour=hexadecimal(colour(place)),
                energy=None,
                threshold=found.threshold,
                peak=peak,
                class_number=number,
            )
        )
        mask: MaskFound = found.mask
        here.append(ConceptInImage(place, own / peak if peak > 0 else 0.0, mask.share, mask.regions))
    seen = one.seen
    return ImageFound(
        printable(seen.path), seen.original, seen.input, seen.grid, tuple(here), table=tuple(table), answers=one.answers
    )


def _predictions(one: _Mapped, work: _Work) -> Iterator[Prediction]:
    """The guesses of a picture: its classes by score, each with its box, or the five of the heuristic."""
    place = {number: i for i, number in enumerate(one.classes)}
    guesses: Sequence[Guess] = guesses_of(one.classes, one.shares, one.boxed, work.settings)
    for rank, guess in enumerate(guesses, 1):
        i, name = place[guess.class_], work.names.names[guess.class_]
        figures = float(one.scores[i]), float(one.shares[i])
        label = work.names.label(guess.class_)
        yield Prediction(printable(one.seen.path), rank, guess.class_, label, name, *figures, guess.box)
