"""Bilinear resizing of heat maps, half-pixel centres, no antialiasing.

The same numbers as PyTorch's `interpolate(mode="bilinear", align_corners=False)`, ONNX `Resize` (linear, half_pixel)
and, for enlarging, OpenCV's `INTER_LINEAR`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like

KEPT = 2**17  # entries of a matrix that is kept for the next map: 512 kB


def bilinear_weights(source: int, target: int) -> NDArray[np.float32]:
    """`(target, source)` matrix of the interpolation along one axis; two entries a row, which sum to 1.

    >>> bilinear_weights(2, 4).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    make = _kept_weights if source * target <= KEPT else _weights
    return make(source, target)


def _weights(source: int, target: int) -> NDArray[np.float32]:
    centres = np.clip((np.arange(target) + 0.5) * (source / target) - 0.5, 0, source - 1)
    left = np.minimum(centres.astype(np.int64), max(source - 2, 0))
    weights = np.zeros((target, source), np.float32)
    right_share = (centres - left).astype(np.float32)
    rows = np.arange(target)
    weights[rows, np.minimum(left + 1, source - 1)] = right_share
    weights[rows, left] += 1 - right_share
    weights.setflags(write=False)
    return weights


_kept_weights = lru_cache(maxsize=256)(_weights)


def upsample(maps: Array, height: int, width: int) -> Array:
    """Maps at another size.

    Args:
        maps: `(..., h, w)` float.
        height, width: wanted.

    Returns:
        `(..., height, width)`, of the same dtype.

    >>> import numpy as np
    >>> upsample(np.array([[0.0, 1.0]]), 1, 4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    xp = namespace_of(maps)
    h, w = maps.shape[-2:]
    rows = like(bilinear_weights(h, height), maps)
    columns = like(bilinear_weights(w, width).T, maps)
    # The narrower product first; both orders round alike to a bit or two.
    return xp.matmul(xp.matmul(rows, maps), columns)
