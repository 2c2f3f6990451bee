"""Feature saliency (FS): channels that are rarely active in a picture tell where something is.

Simeoni et al. (2017, arXiv:1709.04725). CroW's channel weight (Kalantidis et al. 2016) is the same but for a constant.
"""

from __future__ import annotations

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import at_least_single
from dff_onnx.errors import ArrayError
from dff_onnx.retrieval.pooling import checked

EPS = 1e-6


def feature_saliency(X: Array) -> Array:
    """Activations added up over channels, each by its `sparsity_weights`, and divided by each picture's peak.

    Args:
        X: `(n, c, h, w)` activations, `>= 0`.

    Returns:
        `(n, h, w)` in 0..1; zeros for a picture of zeros, or whose every channel is active everywhere.

    >>> import numpy as np
    >>> everywhere, once = [[2.0, 2.0, 2.0, 2.0]], [[0.0, 0.0, 3.0, 0.0]]
    >>> feature_saliency(np.array([[everywhere, once]])).tolist()
    [[[0.0, 0.0, 1.0, 0.0]]]
    """
    X = checked(X)
    weights = sparsity_weights(X)
    return unit_peak(namespace_of(X).sum(X * weights[:, :, None, None], axis=1))


def sparsity_weights(X: Array) -> Array:
    """`max(0, -log(1e-6 + q))` of the shares q of a picture's cells where a channel is active.

    Args:
        X: `(n, c, h, w)` activations, `>= 0`.

    Returns:
        `(n, c)`: 0 for a channel that is active everywhere, 13.8 for one that is active nowhere.

    >>> import numpy as np
    >>> sparsity_weights(np.array([[[[0.0, 0.0, 3.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]]])).round(3).tolist()
    [[1.386, 0.0]]
    """
    X = checked(X)
    xp = namespace_of(X)
    shares = xp.mean(xp.astype(X > 0, X.dtype), axis=(2, 3))
    return xp.clip(-xp.log(EPS + shares), 0, None)


def unit_peak(maps: Array) -> Array:
    """Maps `(n, h, w)`, `>= 0`, divided by their peaks, one by one; a map of zeros stays.

    Raises:
        ArrayError: for another number of axes, or an empty one.

    >>> import numpy as np
    >>> unit_peak(np.array([[[1.0, 4.0]], [[0.0, 0.0]]])).tolist()
    [[[0.25, 1.0]], [[0.0, 0.0]]]
    """
    if maps.ndim != 3 or 0 in maps.shape:
        raise ArrayError(f"maps (n, h, w) are needed, none of them 0; found {tuple(maps.shape)}")
    maps = at_least_single(maps)
    xp = namespace_of(maps)
    peaks = xp.max(maps, axis=(1, 2), keepdims=True)
    return maps / xp.where(peaks > 0, peaks, xp.ones_like(peaks))
