"""Means over square windows, the building block of the guided filter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import uniform_filter1d

from dff_onnx.arrays.namespace import Array, is_cupy, namespace_of


def box_mean(planes: Array, radius: int) -> Array:
    """The mean of each `(2 radius + 1)`-wide square window; pictures are mirrored at their borders, edges included.

    The same border as OpenCV's `BORDER_REFLECT`. On the host, sums are kept in float64, whatever the planes are.

    Args:
        planes: `(..., h, w)` float.
        radius: in pixels, `>= 0`; windows larger than the picture are mirrored as often as it takes.

    >>> import numpy as np
    >>> box_mean(np.array([[1.0, 2.0, 6.0]]), 1).round(3).tolist()
    [[1.333, 3.0, 4.667]]
    """
    if isinstance(planes, np.ndarray):
        return _filtered(planes, radius, uniform_filter1d)
    if is_cupy(planes):
        from cupyx.scipy.ndimage import uniform_filter1d as on_device

        return _filtered(planes, radius, on_device)
    xp = namespace_of(planes)
    return xp.matrix_transpose(_along_last(xp.matrix_transpose(_along_last(planes, radius)), radius))


def _filtered(planes: Array, radius: int, uniform_filter: Callable[..., Array]) -> Array:
    """By SciPy's filter, or CuPy's of the same name."""
    across = uniform_filter(planes, 2 * radius + 1, axis=-1, mode="reflect")
    return uniform_filter(across, 2 * radius + 1, axis=-2, mode="reflect")


def _along_last(planes: Array, radius: int) -> Array:
    """Along the last axis, as differences of running sums."""
    xp = namespace_of(planes)
    size = planes.shape[-1]
    places = np.arange(-radius - 1, size + radius) % (2 * size)
    mirrored = np.minimum(places, 2 * size - 1 - places)
    padded = xp.take(planes, xp.asarray(mirrored, device=planes.device), axis=-1)
    sums = xp.cumulative_sum(padded, axis=-1, dtype=xp.float64)
    window = 2 * radius + 1
    means = (sums[..., window:] - sums[..., :size]) / window
    return xp.astype(means, planes.dtype)
