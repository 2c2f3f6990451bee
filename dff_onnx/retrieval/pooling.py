"""Activations of pictures pooled into one vector each, and the unit length that makes vectors comparable.

MAC: Tolias, Sicre, Jegou (ICLR 2016). SPoC: Babenko, Lempitsky (ICCV 2015). GeM: Radenovic, Tolias, Chum (PAMI 2019).
CroW, uCroW: Kalantidis, Mellina, Osindero (ECCV workshops 2016), weights as in their released code.
Neural codes: Babenko, Slesarev, Chigorin, Lempitsky (ECCV 2014).

Every pooling takes `(n, c, h, w)`, `>= 0` but for `codes`, and returns `(n, c)`, of `codes` `(n, c h w)`, not
normalised, in float32 (float64 for float64). A picture of zeros becomes zeros.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import at_least_single, like, row_norms_squared
from dff_onnx.errors import ArrayError, UsageError

SPREAD = 1 / 3  # of SPoC's centre prior, in distances from the centre to the nearest border


def mac(X: Array) -> Array:
    """The largest activation of every channel.

    >>> mac(np.array([[[[1.0, 3.0]]]])).tolist()
    [[3.0]]
    """
    X = checked(X)
    return namespace_of(X).max(X, axis=(2, 3))


def spoc(X: Array, centred: bool = False) -> Array:
    """The mean activation of every channel.

    Args:
        X: activations.
        centred: whether cells near the centre weigh more, by a Gaussian whose standard deviation is a third of the
            distance from the centre to the nearest border.

    >>> spoc(np.array([[[[1.0, 3.0]]]])).tolist()
    [[2.0]]
    """
    X = checked(X)
    xp = namespace_of(X)
    if not centred:
        return xp.mean(X, axis=(2, 3))
    return xp.sum(X * like(_centre_prior(X.shape[2], X.shape[3]), X), axis=(2, 3))


def gem(X: Array, p: float = 3.0) -> Array:
    """The generalised mean of every channel, `(mean X^p)^(1/p)`: the mean for p = 1, nearly the maximum for large p.

    The released code lifts activations to 1e-6, which keeps its gradients finite; there are none here, and the
    results agree to 1e-6.

    Args:
        X: activations.
        p: above 0.

    Raises:
        UsageError: for any other p.

    >>> gem(np.array([[[[0.0, 2.0]]]]), 1).tolist()
    [[1.0]]
    """
    if not (p > 0 and math.isfinite(p)):
        raise UsageError(f"p: a finite exponent above 0 is needed, found {p}")
    X = checked(X)
    xp = namespace_of(X)
    peaks = xp.max(X, axis=(2, 3), keepdims=True)
    # Powers of shares of the peak stay in range whatever the exponent.
    shares = X / xp.where(peaks > 0, peaks, xp.ones_like(peaks))
    return peaks[:, :, 0, 0] * xp.mean(shares**p, axis=(2, 3)) ** (1 / p)


def crow(X: Array) -> Array:
    """Sums weighted by where all channels are strong, and by how rarely a channel is active (a = b = 2).

    >>> crow(np.array([[[[4.0, 0.0]], [[4.0, 0.0]]]])).round(6).tolist()
    [[2.772589, 2.772589]]
    """
    X = checked(X)
    xp = namespace_of(X)
    return _channel_weights(X) * xp.sum(X * _spatial_weights(X), axis=(2, 3))


def ucrow(X: Array) -> Array:
    """CroW without weights: the sum of every channel.

    >>> ucrow(np.array([[[[1.0, 3.0]]]])).tolist()
    [[4.0]]
    """
    X = checked(X)
    return namespace_of(X).sum(X, axis=(2, 3))


def codes(X: Array) -> Array:
    """All activations of a picture, one after the other, `(n, c h w)`; they may be negative.

    >>> codes(np.array([[[[1.0, 3.0]], [[-2.0, 4.0]]]])).tolist()
    [[1.0, 3.0, -2.0, 4.0]]
    """
    X = checked(X)
    return namespace_of(X).reshape(X, (X.shape[0], -1))


def normalized(V: Array, eps: float = 1e-6) -> Array:
    """Rows `(n, c)` divided by their Euclidean lengths; rows of zeros stay.

    Args:
        V: vectors.
        eps: the least length that is divided by: a row that is shorter does not grow to length 1.

    >>> normalized(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    V = at_least_single(V)
    xp = namespace_of(V)
    return V / xp.clip(xp.sqrt(row_norms_squared(V)), eps, None)[:, None]


def checked(X: Array) -> Array:
    """Activations `(n, c, h, w)` in float32 or float64.

    Raises:
        ArrayError: for another number of axes, or an empty one.
    """
    if X.ndim != 4 or 0 in X.shape:
        raise ArrayError(f"activations (n, c, h, w) are needed, none of them 0; found {tuple(X.shape)}")
    return at_least_single(X)


def _centre_prior(height: int, width: int) -> NDArray[np.float64]:
    """Weights `(height, width)` of sum 1."""
    spread = SPREAD * min(height, width) / 2
    down, across = (np.arange(side) + 0.5 - side / 2 for side in (height, width))
    heights = np.exp(-(down[:, None] ** 2 + across**2) / (2 * spread**2))
    prior: NDArray[np.float64] = heights / heights.sum()
    return prior


def _spatial_weights(X: Array) -> Array:
    """`(S / ||S||)^(1/2)` of the sums over channels, `(n, 1, h, w)`."""
    xp = namespace_of(X)
    S = xp.sum(X, axis=1, keepdims=True)
    lengths = xp.sqrt(xp.sum(S * S, axis=(2, 3), keepdims=True))
    return xp.sqrt(S / xp.where(lengths > 0, lengths, xp.ones_like(lengths)))


def _channel_weights(X: Array) -> Array:
    """`log(sum_j q_j / q_k)` of the shares of active cells, `(n, c)`; 0 for a channel that is never active."""
    xp = namespace_of(X)
    q = xp.mean(xp.astype(X > 0, X.dtype), axis=(2, 3))
    active = q > 0
    rarity = xp.sum(q, axis=1, keepdims=True) / xp.where(active, q, xp.ones_like(q))
    return xp.log(xp.where(active, rarity, xp.ones_like(q)))
