"""Where a map has its maxima: cells, or plateaus of equal cells, that no neighbour is above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double, like
from dff_onnx.errors import ArrayError


@dataclass(frozen=True, slots=True, eq=False)
class Maxima:
    """Maxima of a map, in raster order of their first cells.

    Attributes:
        means: `(m, 2)` float64, row and column of each one's middle, in cells.
        heights: `(m,)` float64.
    """

    means: Array
    heights: Array


def local_maxima(F: Array, least: float = 0.1) -> Maxima:
    """The maxima among the eight neighbours of each cell; a plateau is one.

    Args:
        F: `(h, w)` map, `>= 0`.
        least: share of the largest that a maximum needs.

    Returns:
        none for a map of zeros.

    Raises:
        ArrayError: when the map is none, or a value is negative or not finite.

    >>> local_maxima(np.array([[3.0, 3.0, 0.0, 1.0]])).means.tolist()
    [[0.0, 0.5], [0.0, 3.0]]
    """
    F = checked_map(F)
    xp = namespace_of(F)
    own, overlooked = _plateaus(F)
    flat, labels = xp.reshape(F, (-1,)), xp.reshape(own, (-1,))
    cells = like(np.arange(labels.shape[0]), F, xp.int64)
    firsts = (labels == cells) & ~xp.reshape(overlooked, (-1,)) & (flat > 0) & (flat >= least * xp.max(flat))
    roots = xp.nonzero(firsts)[0]
    members = xp.astype(labels[None, :] == roots[:, None], xp.float64)
    middles = (members @ places(F)) / xp.clip(xp.sum(members, axis=1), 1, None)[:, None]
    return Maxima(middles, xp.take(flat, roots))


def checked_map(F: Array) -> Array:
    """A map `(h, w)` in float64.

    Raises:
        ArrayError: when it is none, or a value is negative or not finite.
    """
    if F.ndim != 2 or 0 in F.shape:
        raise ArrayError(f"a map (h, w) is needed, neither of them 0; found {tuple(F.shape)}")
    F = double(F)
    xp = namespace_of(F)
    if not bool(xp.all(xp.isfinite(F) & (F >= 0))):
        raise ArrayError("a map has values that are negative or not finite")
    return F


def places(F: Array) -> Array:
    """Row and column of every cell of a map, `(h w, 2)` float64 beside it.

    >>> places(np.zeros((1, 2))).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    height, width = F.shape
    return like(np.indices((height, width)).reshape(2, -1).T, F, namespace_of(F).float64)


def _plateaus(F: Array) -> tuple[Array, Array]:
    """The first cell of each cell's plateau, `(h, w)` int64, and whether a neighbour of the plateau is above it."""
    xp = namespace_of(F)
    labels = like(np.arange(F.shape[0] * F.shape[1]).reshape(F.shape), F, xp.int64)
    around = [_shifted(F, dy, dx) for dy, dx in _SHIFTS]
    overlooked = F < 0
    for near, _ in around:
        overlooked = overlooked | (near > F)
    # What one cell of a plateau knows goes to its equals, ring by ring.
    while True:
        least, told = labels, overlooked
        for (near, there), (dy, dx) in zip(around, _SHIFTS, strict=True):
            equal = there & (near == F) & (F > 0)
            least = xp.where(equal, xp.minimum(least, _shifted(labels, dy, dx)[0]), least)
            told = told | (equal & _shifted(overlooked, dy, dx)[0])
        if bool(xp.all((least == labels) & (told == overlooked))):
            return labels, overlooked
        labels, overlooked = least, told


_SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def _shifted(plane: Array, dy: int, dx: int) -> tuple[Array, Array]:
    """Each cell's neighbour, itself where it has none, and whether it has one."""
    xp = namespace_of(plane)
    height, width = plane.shape
    rows, columns = np.arange(height) + dy, np.arange(width) + dx
    near = xp.take(plane, like(np.clip(rows, 0, height - 1), plane, xp.int64), axis=0)
    near = xp.take(near, like(np.clip(columns, 0, width - 1), plane, xp.int64), axis=1)
    there = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return near, like(there, plane, xp.int64) > 0
