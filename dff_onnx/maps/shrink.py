"""Making maps smaller by averaging: each target cell is the mean of the area it covers (OpenCV's `INTER_AREA`)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like


@lru_cache(maxsize=256)
def area_weights(source: int, target: int) -> NDArray[np.float32]:
    """`(target, source)` matrix of the averages along one axis; rows sum to 1. A larger target repeats values.

    >>> area_weights(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    edges = np.arange(target + 1) * (source / target)
    low = np.maximum(edges[:-1, None], np.arange(source))
    high = np.minimum(edges[1:, None], np.arange(1, source + 1))
    weights: NDArray[np.float32] = (np.clip(high - low, 0, None) * (target / source)).astype(np.float32)
    weights.setflags(write=False)
    return weights


def shrink(maps: Array, height: int, width: int) -> Array:
    """Maps `(..., h, w)` averaged to `(..., height, width)`.

    >>> import numpy as np
    >>> shrink(np.array([[1.0, 3.0, 5.0, 7.0]]), 1, 2).tolist()
    [[2.0, 6.0]]
    """
    xp = namespace_of(maps)
    rows = like(area_weights(maps.shape[-2], height), maps)
    columns = like(area_weights(maps.shape[-1], width).T, maps)
    return xp.matmul(xp.matmul(rows, maps), columns)
