"""Where a solver starts from, and which start wins.

Starts are tried on a sample of rows drawn by squared norm (Frieze, Kannan & Vempala 2004): rows that carry the loss
are drawn, each rescaled so that the sample's loss is an unbiased estimate of the whole. A start costs the same
whatever N is.
"""

from __future__ import annotations

import math

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import cumulative_sum, length, like, row_norms_squared
from dff_onnx.factorization.blocks import TINY


def sample_rows(A: Array, norms: Array, size: int, rng: np.random.Generator) -> Array:
    """At most `size` rows, systematically sampled with probability proportional to their squared norm.

    Args:
        A: `(N, c)`.
        norms: `(N,)` float64, squared norms of the rows.
        size: rows wanted; a matrix that has no more is returned as it is.
        rng: draws one offset.
    """
    xp = namespace_of(A)
    if A.shape[0] <= size:
        return A
    running = cumulative_sum(norms)
    total = float(running[-1])
    if total == 0:
        return A[:size, :]
    points = like((np.arange(size) + rng.random()) / size * total, running)
    index = xp.clip(xp.searchsorted(running, points), 0, A.shape[0] - 1)
    weight = xp.sqrt(total / (size * xp.clip(xp.take(norms, index), TINY, None)))
    return xp.take(A, index, axis=0) * xp.astype(weight, A.dtype)[:, None]


def nndsvd(S: Array, k: int) -> Array:
    """Concepts of a non-negative double singular value decomposition (Boutsidis & Gallopoulos 2008).

    Zeros are lifted to the mean (NNDSVDa), because coordinate descent starts badly from them. Only `W` is made; the
    first pass finds `H`.

    Args:
        S: `(m, c)` sample.
        k: rank.

    Returns:
        `(k, c)` float64.
    """
    xp = namespace_of(S)
    left, values, right = _leading_triplets(S, k)
    rows = [xp.abs(right[:, 0]) * math.sqrt(values[0])]
    for j in range(1, k):
        sides = [(xp.clip(left[:, j] * sign, 0, None), xp.clip(right[:, j] * sign, 0, None)) for sign in (1.0, -1.0)]
        lengths = [length(u) * length(v) for u, v in sides]
        best = int(lengths[1] > lengths[0])
        v = sides[best][1]
        rows.append(v * (math.sqrt(values[j] * lengths[best]) / max(length(v), TINY)))
    W = xp.stack(rows)
    return xp.where(W > 0, W, xp.full_like(W, float(xp.mean(W))))


def _leading_triplets(S: Array, k: int) -> tuple[Array, list[float], Array]:
    """`k` leading singular triplets in float64, from the eigenvectors of the smaller Gram matrix."""
    xp = namespace_of(S)
    rows, channels = S.shape
    S64 = xp.astype(S, xp.float64)
    gram = S64 @ S64.T if rows < channels else S64.T @ S64
    values, vectors = xp.linalg.eigh(gram)
    leading = vectors[:, -k:][:, ::-1]
    sigma = [math.sqrt(max(float(values[-1 - j]), 0.0)) for j in range(k)]
    scale = like(np.asarray([1.0 / max(s, TINY) for s in sigma]), leading)
    if rows < channels:
        return leading, sigma, (S64.T @ leading) * scale
    return (S64 @ leading) * scale, sigma, leading


def kmeans_plus_plus(S: Array, k: int, rng: np.random.Generator) -> Array:
    """Rows far from each other as concepts (Arthur & Vassilvitskii 2007), by angle: rows are compared at unit length.

    Args:
        S: `(m, c)` sample.
        k: rank.
        rng: draws the rows.

    Returns:
        `(k, c)` float64.
    """
    xp = namespace_of(S)
    norms = row_norms_squared(S)
    unit = S / xp.sqrt(xp.clip(norms, TINY, None))[:, None]
    chosen = [_draw(norms, rng)]
    nearest = 1.0 - unit @ unit[chosen[0], :]
    for _ in range(1, k):
        chosen.append(_draw(xp.clip(nearest, 0, None) * norms, rng))
        nearest = xp.minimum(nearest, 1.0 - unit @ unit[chosen[-1], :])
    W = xp.stack([S[i, :] for i in chosen])
    return xp.astype(W, xp.float64) + 1e-6 * float(xp.max(W))


def _draw(weights: Array, rng: np.random.Generator) -> int:
    xp = namespace_of(weights)
    running = cumulative_sum(xp.astype(weights, xp.float64))
    point = rng.random() * float(running[-1])
    passed: int = int(xp.sum(xp.astype(running <= point, xp.int64)))
    return min(passed, int(weights.shape[0]) - 1)
