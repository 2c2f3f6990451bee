"""Columns of `H` back on the grids of their images, and what they say of an image at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.records import Grid

FORGET = 256  # images, after which mapped coefficients may leave memory


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


def heat_maps(H: Array, grids: Sequence[Grid], every: int = 1) -> Iterator[tuple[int, Array]]:
    """The numbers and maps of all images, or of every so manieth; of mapped coefficients few are in memory at once."""
    starts = offsets(grids)
    for number, index in enumerate(range(0, len(grids), every)):
        yield index, heat_map(H, starts[index], grids[index])
        if number % FORGET == FORGET - 1:
            forget_pages(H)


def peaks(H: Array, grids: Sequence[Grid]) -> Array:
    """The largest coefficient of each concept in each image, `(images, k)`."""
    xp = namespace_of(H)
    if len(set(grids)) > 1:
        return xp.stack([xp.max(heat, axis=(1, 2)) for _, heat in heat_maps(H, grids)])
    cells, parts = grids[0].cells, []
    for first in range(0, len(grids), FORGET):  # one reduction instead of one per image
        part = H[first * cells : (first + FORGET) * cells, :]
        parts.append(xp.max(xp.reshape(part, (-1, cells, H.shape[1])), axis=1))
        forget_pages(H)
    return xp.concat(parts)


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
