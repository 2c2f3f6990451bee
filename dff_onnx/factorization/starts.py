"""Where descents start from: one non-negative double singular value decomposition, the others by k-means++."""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.descent import TINY
from dff_onnx.arrays.helpers import cumulative_sum, like, row_norms_squared
from dff_onnx.factorization.sketch import Sketch


def starts(sketch: Sketch, k: int, many: int, rng: np.random.Generator) -> tuple[list[str], Array]:
    """Concepts to start from, as `(many, k, c)`, and the names of the starts.

    Args:
        sketch: of a sample.
        k: rank.
        many: starts wanted.
        rng: draws rows.
    """
    first = nndsvd(sketch, k)[None, ...]
    names = ["nndsvd", *(f"k-means++ {i}" for i in range(1, many))]
    if many == 1:
        return names, first
    return names, namespace_of(first).concat([first, kmeans_plus_plus(sketch, k, many - 1, rng)])


def nndsvd(sketch: Sketch, k: int) -> Array:
    """Concepts of a non-negative double singular value decomposition (Boutsidis & Gallopoulos 2008), `(k, c)`.

    Zeros are lifted to the mean (NNDSVDa), because coordinate descent starts badly from them. Only `W` is made; the
    first pass finds `H`.

    Args:
        sketch: of a sample; its columns stand for the left singular vectors.
        k: rank.
    """
    xp = namespace_of(sketch.Y)
    left, right = sketch.Yt[:k, :], sketch.Vt[:k, :]
    # Each vector has a positive and a negative side; the pair of sides with the larger product counts.
    sides = [(_clipped(left * sign), _clipped(right * sign)) for sign in (1.0, -1.0)]
    lengths = [_lengths(u) * _lengths(v) for u, v in sides]
    v = xp.where(lengths[0] >= lengths[1], sides[0][1], sides[1][1])
    W = v * xp.sqrt(xp.maximum(lengths[0], lengths[1])) / xp.clip(_lengths(v), TINY, None)
    return xp.where(W > 0, W, xp.mean(W) + xp.zeros_like(W))


def kmeans_plus_plus(sketch: Sketch, k: int, many: int, rng: np.random.Generator) -> Array:
    """Rows far from each other as concepts (Arthur & Vassilvitskii 2007), by angle: rows are compared at unit length.

    Args:
        sketch: of a sample, whose compressed rows are drawn.
        k: rank.
        many: starts, drawn side by side.
        rng: draws the rows.

    Returns:
        `(many, k, c)`.
    """
    xp = namespace_of(sketch.Y)
    norms = xp.astype(row_norms_squared(sketch.Y), xp.float64)
    unit = sketch.Y / xp.astype(xp.sqrt(xp.clip(norms, TINY, None)), sketch.Y.dtype)[:, None]
    chosen = [_draw(xp.broadcast_to(norms, (many, norms.shape[0])), rng)]
    nearest = _distances(unit, chosen[0])
    for _ in range(1, k):
        chosen.append(_draw(nearest * norms, rng))
        nearest = xp.minimum(nearest, _distances(unit, chosen[-1]))
    rows = xp.take(sketch.Y, xp.reshape(xp.stack(chosen, axis=1), (-1,)), axis=0)
    W = _clipped(rows @ sketch.Vt)
    return xp.reshape(W + 1e-6 * xp.max(W), (many, k, -1))


def _distances(unit: Array, index: Array) -> Array:
    """`1 - cosine` of every row to each chosen one, `(many, m)` float64."""
    xp = namespace_of(unit)
    return xp.clip(1.0 - xp.astype(xp.take(unit, index, axis=0) @ unit.T, xp.float64), 0, None)


def _draw(weights: Array, rng: np.random.Generator) -> Array:
    """One index for each row of weights `(many, m)`, with their probability."""
    xp = namespace_of(weights)
    running = cumulative_sum(weights)
    points = like(rng.random((weights.shape[0], 1)), running) * running[:, -1:]
    passed = xp.sum(xp.astype(running <= points, xp.int64), axis=1)
    return xp.clip(passed, 0, weights.shape[1] - 1)


def _clipped(values: Array) -> Array:
    return namespace_of(values).clip(values, 0, None)


def _lengths(vectors: Array) -> Array:
    xp = namespace_of(vectors)
    return xp.sqrt(xp.sum(vectors * vectors, axis=-1, keepdims=True))
