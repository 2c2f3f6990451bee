"""Where a query is in the pictures that a search finds: boxes that are told against boxes that are known.

Every few pictures one is a query, once by its object's box and once as a whole. Of the pictures nearest to it, those of
its own group are judged: the intersection over union of the box that is told with the object's, 0 where none is told.
Collins, Susstrunk (ICIP 2019) is what is judged; a whole picture, its middle, and R-MAC's squares stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.datasets import Annotated
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation.opening import Opened
from dff_onnx.files import printable
from dff_onnx.images import Picture
from dff_onnx.maps import offsets
from dff_onnx.metrics import box_iou
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Box, Grid
from dff_onnx.report.found import Failure
from dff_onnx.report.names import shown
from dff_onnx.retrieval import Window, mac, rank, region_vectors, regions, rmac
from dff_onnx.retrieval.where import By
from dff_onnx.runs.collect import block_of, none_usable
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.gather import NOTHING, Block, Gathered, gathering
from dff_onnx.runs.keep import Keep, arrays_sha256, below, keep_in
from dff_onnx.runs.packed import packed, unpacked
from dff_onnx.runs.parts import Batch
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.where import WhereSettings, centre, inside, located

WHOLE, CENTRE, SQUARE, MAC_SQUARE = "whole picture", "centre box", "R-MAC square", "R-MAC square, MAC"
ASKED = ("box", "whole")  # how a query is asked
MOST_PICTURES = 20_000  # all activations are in memory

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WherePlan:
    """What is compared.

    Attributes:
        top: results of a query that are looked at.
        every: so many pictures one is a query.
        ks, rules: of joint factorizations, a row for each of both; see `WhereSettings`.
        all_cells: of a query that is a whole picture also by all its cells; usually its middle tells the concept.
    """

    top: int = 10
    every: int = 3
    ks: tuple[int, ...] = (2,)
    rules: tuple[By, ...] = ("share",)
    all_cells: bool = False

    def __post_init__(self) -> None:
        if self.top < 1 or self.every < 1 or not self.ks or not self.rules:
            raise UsageError(f"where: --top and --every of at least 1 are needed, found {self.top} and {self.every}")
        for k in self.ks:
            WhereSettings(k)


@dataclass(frozen=True, slots=True)
class WhereScore:
    """One way of telling where one query is in its true matches.

    Attributes:
        way: its name.
        asked: `box` or `whole`.
        group: of the query.
        query: its picture.
        ious: of its matches, the nearest first.
    """

    way: str
    asked: str
    group: str
    query: str
    ious: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WhereFigures:
    """An evaluation.

    Attributes:
        dataset: its name.
        pictures: that were searched.
        fingerprint: of the network.
        device: it ran on.
        settings: of descriptors and plan.
        scores: query by query.
        failures: pictures that could not be used.
        notes: sentences on what was left out.
    """

    dataset: str
    pictures: int
    fingerprint: Mapping[str, Any]
    device: str
    settings: Mapping[str, Any]
    scores: tuple[WhereScore, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def evaluate_where(
    opened: Opened,
    describer: Describer,
    plan: WherePlan | None = None,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> WhereFigures:
    """Searches a set by its own pictures, and judges where their objects are told to be.

    Args:
        opened: groups of pictures with boxes or masks of one object each.
        describer: what ranks them.
        plan: what is compared.
        progress: follows the pictures.
        resume: a folder for it alone, where activations, vectors and answers are kept for an evaluation that may be
            killed; None for none.

    Raises:
        UsageError: when the set is too large to be held in memory.
        DatasetError: when no query finds a picture of its group.
        NoImagesError: when not one picture can be used.
        ModelError: when activations are negative or not finite.
        OutputError: when they cannot be kept.
    """
    plan, progress = plan or WherePlan(), progress or Silent()
    keep = keep_in(resume, opened.root, describer.activations) if resume else None
    held, failures = _held(opened, describer, progress, keep)
    scores = _Work(held, describer, plan).scores(opened.root, progress, keep)
    if not scores:
        raise DatasetError(f"{opened.root}: not one query finds a picture of its own group; more pictures are needed")
    return WhereFigures(
        dataset=shown(opened.dataset.name),
        pictures=len(held.truths),
        fingerprint=describer.activations.fingerprint.to_dict(),
        device=describer.activations.device,
        settings=settings_of(describer.settings, plan),
        scores=scores,
        failures=failures,
        notes=opened.dataset.notes,
    )


def settings_of(descriptor: DescriptorSettings, plan: WherePlan) -> dict[str, Any]:
    """Of an evaluation, in plain values."""
    return {
        "descriptor": descriptor.kind,
        **descriptor.to_dict(),
        "top": plan.top,
        "every": plan.every,
        "concepts": list(plan.ks),
        "rules": list(plan.rules),
        "all_cells": plan.all_cells,
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """The pictures of a set that can be used, as a network sees them."""

    names: list[str]
    paths: list[Path]
    groups: list[str]
    truths: list[tuple[Box, ...]]
    rows: list[Floats]
    seen: list[Seen]
    vectors: Floats

    def sha256(self) -> str:
        """Of all that answers depend on."""
        told = [
            self.groups,
            [list(map(astuple, one)) for one in self.truths],
            [astuple(one.original) for one in self.seen],
        ]
        return arrays_sha256(self.vectors, *self.rows, np.frombuffer(json.dumps(told).encode(), np.uint8))


def _held(
    opened: Opened, describer: Describer, progress: Progress, keep: Keep | None
) -> tuple[_Held, tuple[Failure, ...]]:
    """Activations, descriptors and boxes of all pictures; one of two groups is there twice: each has its own object."""
    given = [(group.name, one) for group in opened.dataset.groups for one in group.pictures]
    if len(given) > MOST_PICTURES:
        raise UsageError(f"{opened.root}: has {len(given)} pictures, more than {MOST_PICTURES}; take some --groups")
    network = describer.activations

    def look(batch: Batch[int]) -> Block:
        return block_of(batch, network)

    def describe(batch: Batch[int]) -> Block:
        return packed([[describer.describe(picture).vector] for _, picture in batch])

    progress.start("reading", len(given))
    read = _filled("activations", opened.root, [one.picture for _, one in given], describer, look, progress, keep)
    A, seen, kept = read.matrix(), list(read.seen), [given[place] for place in read.places]
    if A is None:
        raise none_usable(opened.root, read.failures)
    progress.start("describing", len(kept))
    described = _filled("vectors", opened.root, [one.picture for _, one in kept], describer, describe, progress, keep)
    if described.failures:
        raise described.failures[0]  # it could be read just before
    bounds, pictures = offsets([one.grid for one in seen]), [one for _, one in kept]
    held = _Held(
        names=[_named(one, opened.root) for one in pictures],
        paths=[one.picture for one in pictures],
        groups=[group for group, _ in kept],
        truths=[truth_boxes(one, own.original) for one, own in zip(pictures, seen, strict=True)],
        rows=[np.asarray(to_numpy(A[low:high]), np.float32) for low, high in pairwise(bounds)],
        seen=seen,
        vectors=np.stack([vector for (vector,) in unpacked(described)]),
    )
    failures = (Failure(_named(given[at][1], opened.root), error.reason) for at, error in read.failed.items())
    return held, tuple(dict.fromkeys(failures))


def _filled(
    name: str,
    root: Path,
    pictures: Sequence[Path],
    describer: Describer,
    work: Callable[[Batch[int]], Block],
    progress: Progress,
    keep: Keep | None,
) -> Gathered:
    """What is made of pictures as they are described."""
    of = {"descriptor": describer.settings.kind, **describer.settings.to_dict()}
    if describer.whitening is not None:
        of["whitening"] = arrays_sha256(describer.whitening.mean, describer.whitening.projection)
    with gathering(root, [below(path, root) for path in pictures], keep, name, of) as rows:
        rows.fill(lambda place: describer.read(pictures[place]), work, describer.activations.workers, progress)
    return rows


def truth_boxes(one: Annotated, size: Grid) -> tuple[Box, ...]:
    """The boxes of a picture's objects: as they are known, or around its mask; none where that is empty.

    Args:
        one: the picture.
        size: of it, for its mask.

    Raises:
        DatasetError: when the mask cannot be read.
    """
    if one.boxes or one.mask is None:
        return one.boxes
    around = one.mask.read(size).box()
    return () if around is None else (around,)


def _named(one: Annotated, root: Path) -> str:
    return printable(one.picture.relative_to(root) if one.picture.is_relative_to(root) else one.picture)


@dataclass(frozen=True, slots=True)
class _Work:
    held: _Held
    describer: Describer
    plan: WherePlan

    def scores(self, root: Path, progress: Progress, keep: Keep | None) -> tuple[WhereScore, ...]:
        """All ways, for all queries."""
        held = self.held
        queries = range(0, len(held.truths), self.plan.every)
        paths = [held.paths[query] for query in queries]

        def ask(batch: Batch[int]) -> Block:
            return Block(NOTHING, figures=[self._of(queries[place], picture) for place, picture in batch])

        progress.start("asking", len(queries))
        of = settings_of(self.describer.settings, self.plan) | ({"held": held.sha256()} if keep else {})
        with (
            single_threaded_blas(),
            gathering(root, [below(path, root) for path in paths], keep, "queries", of) as rows,
        ):
            rows.fill(lambda place: self.describer.read(paths[place]), ask, 0, progress)
        if rows.failures:
            raise rows.failures[0]  # it could be read just before
        return tuple(
            WhereScore(way, asked, shown(held.groups[query]), held.names[query], tuple(ious))
            for query, figures in zip(queries, rows.figures, strict=True)
            for way, asked, ious in figures
        )

    def _of(self, query: int, picture: Picture) -> list[list[Any]]:
        """Way, manner of asking and overlaps, for a query by its largest box and as a whole."""
        truths = self.held.truths[query]
        if not truths:
            return []
        largest = max(truths, key=lambda box: box.area)
        crop = self.describer.read(self.held.paths[query], largest)
        each = zip(ASKED, ((crop, largest), (picture, None)), strict=True)
        return [[way, asked, ious] for asked, part in each for way, ious in self._asked(query, *part).items()]

    def _asked(self, query: int, crop: Picture, box: Box | None) -> dict[str, list[float]]:
        held = self.held
        vector = self.describer.describe(crop).vector
        ranked = rank(vector[None], held.vectors, self.plan.top + 1).indices[0].tolist()
        found = [i for i in ranked if i != query][: self.plan.top]
        true = [i for i in found if held.groups[i] == held.groups[query] and held.truths[i]]
        if not true:
            return {}
        X = np.asarray(to_numpy(self.describer.activations(crop.pixels[None])), np.float32)
        told = self._baselines(X, true) | self._joint(query, box, found, true)
        return {way: self._ious(boxes, true) for way, boxes in told.items()}

    def _ious(self, boxes: Sequence[Box | None], true: Sequence[int]) -> list[float]:
        """With the object that fits best."""
        return [
            0.0 if box is None else max(box_iou(box, truth) for truth in self.held.truths[i])
            for box, i in zip(boxes, true, strict=True)
        ]

    def _baselines(self, X: Floats, true: Sequence[int]) -> dict[str, list[Box | None]]:
        sizes = [self.held.seen[i].original for i in true]
        return {
            WHOLE: [Box(0, 0, size.width, size.height) for size in sizes],
            CENTRE: [centre(size) for size in sizes],
            SQUARE: [best_window(self.held.seen[i], self.held.rows[i], np.asarray(rmac(X)[0])) for i in true],
            MAC_SQUARE: [best_window(self.held.seen[i], self.held.rows[i], np.asarray(mac(X)[0])) for i in true],
        }

    def _joint(self, query: int, box: Box | None, found: Sequence[int], true: Sequence[int]) -> dict[str, list[Any]]:
        chosen = [query, *found]
        A, seen = np.concatenate([self.held.rows[i] for i in chosen]), [self.held.seen[i] for i in chosen]
        usual = inside(box, seen[0])
        cells = {"": usual}
        if box is None and self.plan.all_cells:
            cells[", all"] = np.ones_like(usual)
        made = {}
        for (what, asked), k, by in product(cells.items(), self.plan.ks, self.plan.rules):
            boxes = located(A, seen, asked, WhereSettings(k, by)).boxes[1:]
            made[f"DFF k={k} {by}{what}"] = [boxes[found.index(i)] for i in true]
        return made


def best_window(seen: Seen, rows: Floats, vector: Floats) -> Box:
    """The square of R-MAC's grid, or the whole picture, that is most like a vector, in pixels.

    Args:
        seen: the picture.
        rows: `(cells, c)` its activations.
        vector: `(c,)`.
    """
    grid = seen.grid
    windows = (Window(0, 0, grid.height, grid.width), *regions(grid.height, grid.width))
    X = rows.reshape(1, grid.height, grid.width, -1).transpose(0, 3, 1, 2)
    best = windows[int(np.argmax(region_vectors(X, windows)[0] @ vector))]
    down, across = seen.original.height / grid.height, seen.original.width / grid.width
    corners = (best.x * across, best.y * down, (best.x + best.width) * across, (best.y + best.height) * down)
    return Box(*map(round, corners))
