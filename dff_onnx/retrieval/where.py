"""Which concept of a joint factorization is what a query shows.

Collins, Susstrunk (ICIP 2019) factorize a query and its best matches together: a concept's heat maps then say where in
the matches it is. Which concept is the query's is told by the part of the query's picture that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import count, double
from dff_onnx.errors import ArrayError
from dff_onnx.maps import offsets
from dff_onnx.records import Box, Grid

By = Literal["share", "mean"]


@dataclass(frozen=True, slots=True, eq=False)
class QueryConcept:
    """The concept of a query.

    Attributes:
        index: its number.
        shares: `(k,)` float64, the part of each concept's heat, over all pictures, that lies inside the crop, 0..1.
        means: `(k,)` float64, the mean heat of each concept inside the crop.
    """

    index: int
    shares: Array
    means: Array


def query_concept(H: Array, grids: Sequence[Grid], inside: Array, query: int = 0, by: By = "share") -> QueryConcept:
    """The concept that a crop of one picture speaks of; of equals, the first.

    Args:
        H: `(N, k)` coefficients of all pictures.
        grids: of the pictures, in the order of its rows.
        inside: `(h, w)` bool, the cells of the query's picture that were asked for.
        query: the picture's place among the grids.
        by: `share` prefers what is in the crop and hardly elsewhere; where matches are few, that may be a thing that
            they lack. `mean` prefers what is strong in the crop, wherever else it is; it needs concepts of unit length.

    Raises:
        ArrayError: when the grids or the crop do not belong to H, or the crop has no cell.

    >>> H = np.array([[5.0, 1.0], [0.0, 0.0], [5.0, 0.5]])
    >>> query_concept(H, [Grid(1, 2), Grid(1, 1)], np.array([[True, False]])).index
    1
    """
    bounds = _checked_offsets(H, grids, inside, query)
    xp = namespace_of(H, inside)
    weights = xp.astype(xp.reshape(inside, (-1,)), xp.float64)
    within = weights @ double(H[bounds[query] : bounds[query + 1], :])
    total = xp.sum(double(H), axis=0)
    shares = within / xp.where(total > 0, total, xp.ones_like(total))
    means = within / xp.sum(weights)
    return QueryConcept(int(xp.argmax(means if by == "mean" else shares)), shares, means)


def cells_inside(crop: Box, picture: Grid, grid: Grid) -> NDArray[np.bool_]:
    """The cells of a grid whose centres lie in a crop, `(h, w)`; for a crop between centres, the nearest cells.

    Args:
        crop: half-open, in pixels of the picture.
        picture: its size in pixels.
        grid: of its activations.

    Raises:
        ArrayError: for a crop without a pixel inside the picture.

    >>> cells_inside(Box(50, 0, 100, 60), Grid(60, 100), Grid(1, 4)).tolist()
    [[False, False, True, True]]
    """
    rows = _between(max(crop.y0, 0), min(crop.y1, picture.height), picture.height, grid.height)
    columns = _between(max(crop.x0, 0), min(crop.x1, picture.width), picture.width, grid.width)
    return rows[:, None] & columns


def _between(low: int, high: int, pixels: int, cells: int) -> NDArray[np.bool_]:
    """Which cells of one side have their centres from `low` to `high`; the nearest to the middle where none has."""
    if low >= high:
        raise ArrayError("a crop needs at least one pixel inside its picture")
    centres = (np.arange(cells) + 0.5) * pixels / cells
    chosen: NDArray[np.bool_] = (centres >= low) & (centres < high)
    if not chosen.any():
        chosen[np.argmin(np.abs(centres - (low + high) / 2))] = True
    return chosen


def _checked_offsets(H: Array, grids: Sequence[Grid], inside: Array, query: int) -> list[int]:
    bounds = offsets(grids)
    if H.ndim != 2 or 0 in H.shape or bounds[-1] != H.shape[0]:
        raise ArrayError(f"coefficients (N, k) of {bounds[-1]} cells are needed, found {tuple(H.shape)}")
    if not 0 <= query < len(grids):
        raise ArrayError(f"there are {len(grids)} pictures, and the query is number {query}")
    if tuple(inside.shape) != (grids[query].height, grids[query].width):
        raise ArrayError(f"the crop is {tuple(inside.shape)} cells, and its picture {grids[query]}")
    if not count(inside):
        raise ArrayError("the crop has no cell")
    return bounds
