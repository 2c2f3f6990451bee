"""Where in pictures that were found the query is: both are factorized together, and a concept's heat maps tell it.

Collins, Susstrunk: "Deep feature factorization for content-based image retrieval and localization" (ICIP 2019). Which
of the concepts is the query's, and how many there are, was measured (`benchmarks/where.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.errors import UsageError
from dff_onnx.factorization import factorize
from dff_onnx.factorization.rows import whole_images
from dff_onnx.maps import Threshold, heat_map, offsets, set_thresholds
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Box, Grid
from dff_onnx.report.search_found import Part, SearchFound
from dff_onnx.retrieval import cells_inside, query_concept
from dff_onnx.retrieval.where import By
from dff_onnx.runs.collect import collect_with
from dff_onnx.runs.descriptors import Describer
from dff_onnx.runs.discovery import regions_in
from dff_onnx.runs.own_picture import name_in
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings


@dataclass(frozen=True, slots=True)
class WhereSettings:
    """How the query is looked for in the pictures that were found.

    Attributes:
        k: concepts of the query and its results together, at least 2.
        by: which of them is the query's, see `retrieval.query_concept`.
    """

    k: int = 2
    by: By = "share"

    def __post_init__(self) -> None:
        if self.k < 2:
            raise UsageError(f"--where-k: at least 2 concepts are needed to tell one from the rest, found {self.k}")


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where the query is in some pictures, the query's first.

    Attributes:
        seen: the pictures.
        boxes: in their pixels, None where it is not.
        heats: `(h, w)` of each, on its grid.
        threshold: of the masks.
        peak: the largest value in all of them.
    """

    seen: tuple[Seen, ...]
    boxes: tuple[Box | None, ...]
    heats: tuple[NDArray[np.float32], ...]
    threshold: float
    peak: float


def located(A: Array, seen: Sequence[Seen], asked: NDArray[np.bool_], settings: WhereSettings) -> Located:
    """The concept of a query in pictures that it was factorized with; needs no files.

    Args:
        A: `(N, c)` activations, picture after picture, the query's first.
        seen: the pictures.
        asked: `(h, w)` the cells of the query's picture that were asked for.
        settings: how.
    """
    grids = [one.grid for one in seen]
    cuts = whole_images([grid.cells for grid in grids])
    k = min(settings.k, *A.shape)
    fitted = factorize(A, k, cuts=cuts)
    concept = query_concept(fitted.H, grids, asked, by=settings.by).index
    H = np.asarray(to_numpy(fitted.H), np.float32)[:, [concept]]
    thresholds = set_thresholds(H, grids, [one.input for one in seen], Threshold())
    heats = [np.ascontiguousarray(heat_map(H, start, grid)) for start, grid in zip(offsets(grids), grids, strict=False)]
    found = [masks[0].regions for masks in regions_in(heats, thresholds, seen, Settings())]
    return Located(
        seen=tuple(seen),
        boxes=tuple(regions[0].box if regions else None for regions in found),
        heats=tuple(heat[0] for heat in heats),
        threshold=float(thresholds[0]),
        peak=float(H.max()),
    )


def where(
    found: SearchFound,
    folder: Path,
    describer: Describer,
    settings: WhereSettings | None = None,
    progress: Progress | None = None,
) -> tuple[SearchFound, Located]:
    """Results with boxes of where in them the query is.

    Args:
        found: of a search; what it looked for is the first query's part.
        folder: that the results' paths are relative to.
        describer: the index's network and size.
        settings: how.
        progress: is told of every picture.

    Returns:
        the results, those that could not be read without a box and among its failures, and the query's and the other
        pictures' heat maps.

    Raises:
        ImageError: when the query cannot be read any more.
        UsageError: when not one result can be read, or the layer has no grid.
    """
    settings, progress = settings or WhereSettings(), progress or Silent()
    query = found.query
    paths = [query.path.resolve(), *(folder / result.path for result in found.results)]
    progress.start("locating", len(paths))
    rows = collect_with(folder, paths, describer.read, describer.activations, progress)
    if rows.failures and rows.failures[0].path == paths[0]:
        raise rows.failures[0]
    if found.results and len(rows.seen) == 1:
        raise UsageError(f"{folder}: not one result's picture can be read below it; name the index's folder")
    if all(one.grid.cells == 1 for one in rows.seen):
        raise UsageError(
            f"--where: layer {describer.activations.fingerprint.layer!r} says one thing of a whole picture and not "
            "where in it; search an index of a layer with a grid"
        )
    made = located(rows.A, rows.seen, inside(asked_box(query, describer, folder), rows.seen[0]), settings)
    boxes = dict(zip((one.path for one in made.seen[1:]), made.boxes[1:], strict=True))
    told = replace(
        found,
        results=tuple(replace(one, box=boxes.get(folder / one.path)) for one in found.results),
        settings={**found.settings, "where": {"k": settings.k, "by": settings.by}},
        query_box=made.boxes[0],
        failures=tuple((os.fspath(error.path.relative_to(folder)), error.reason) for error in rows.failures),
    )
    return told, made


def asked_box(part: Part, describer: Describer, folder: Path | None = None) -> Box | None:
    """What was asked for, in pixels of the query's file: a box, that of a concept, or None for all of it.

    `folder` is that of the index, where it is known: a concept has the number that the search gave it.
    """
    if part.concept is None:
        return part.box
    described = describer.describe(describer.read(part.path, part.box), name_in(part.path, folder))
    own = described.boxes[part.concept]
    left, top = (part.box.x0, part.box.y0) if part.box else (0, 0)
    return Box(own.x0 + left, own.y0 + top, own.x1 + left, own.y1 + top)


def inside(box: Box | None, query: Seen) -> NDArray[np.bool_]:
    """The cells of the query's picture that were asked for; of a whole picture its centre, where its object is."""
    return cells_inside(centre(query.original) if box is None else box, query.original, query.grid)


def centre(size: Grid) -> Box:
    """The middle of a picture, half its area, at least a pixel.

    >>> centre(Grid(100, 200))
    Box(x0=29, y0=15, x1=171, y1=85)
    """
    across, down = (min(round(side * (1 - 0.5**0.5) / 2), (side - 1) // 2) for side in (size.width, size.height))
    return Box(across, down, size.width - across, size.height - down)
