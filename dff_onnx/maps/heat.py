"""Columns of `H` back on the grids of their images, and what they say of an image at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.records import Grid


def offsets(grids: Sequence[Grid]) -> list[int]:
    """Where each image's rows begin in `H`, and where the last one's end.

    >>> offsets([Grid(2, 2), Grid(1, 3)])
    [0, 4, 7]
    """
    return [0, *accumulate(grid.cells for grid in grids)]


def heat_map(H: Array, start: int, grid: Grid) -> Array:
    """The maps of one image.

    Args:
        H: `(N, k)` coefficients.
        start: the image's first row.
        grid: of the image.

    Returns:
        `(k, h, w)`.
    """
    xp = namespace_of(H)
    return xp.reshape(H[start : start + grid.cells, :].T, (H.shape[1], grid.height, grid.width))


def peaks(H: Array, grids: Sequence[Grid]) -> Array:
    """The largest coefficient of each concept in each image, `(images, k)`."""
    xp = namespace_of(H)
    starts = offsets(grids)
    if len(set(grids)) == 1:  # one reduction instead of one per image
        return xp.max(xp.reshape(H, (len(grids), grids[0].cells, H.shape[1])), axis=1)
    return xp.stack([xp.max(H[a:b, :], axis=0) for a, b in pairwise(starts)])


def scores(image_peaks: Array) -> Array:
    """Each image's peaks relative to the whole set's, 0..1; a concept that is nowhere scores 0.

    Args:
        image_peaks: `(images, k)`, as `peaks` gives them.

    >>> import numpy as np
    >>> scores(np.array([[1.0, 0.0], [4.0, 0.0]])).tolist()
    [[0.25, 0.0], [1.0, 0.0]]
    """
    xp = namespace_of(image_peaks)
    highest = xp.max(image_peaks, axis=0)
    return image_peaks / xp.where(highest > 0, highest, xp.ones_like(highest))
