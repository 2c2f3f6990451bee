"""Vectors moved towards their neighbours: queries that ask for what they found, and databases that agree.

Average query expansion: Chum, Philbin, Sivic, Isard, Zisserman (ICCV 2007). Weights `s^alpha`: Radenovic, Tolias, Chum
(PAMI 2019). Database-side augmentation: Arandjelovic, Zisserman (CVPR 2012).
"""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import at_least_single, like, row_blocks
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.pooling import normalized

ALPHA = 3.0


def average_expansion(queries: Array, vectors: Array, neighbours: Array) -> Array:
    """Every query with its neighbours added: `L2(q + sum_i x_i)`.

    Args:
        queries: `(m, c)` of unit length.
        vectors: `(n, c)` of unit length.
        neighbours: `(m, k)` int64, rows of `vectors`. A query that is one of them counts twice, as in the field's code.

    Returns:
        `(m, c)` of unit length.

    Raises:
        ArrayError: for shapes that do not belong together, or rows that are not there.

    >>> average_expansion(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[0]])).round(4).tolist()
    [[0.7071, 0.7071]]
    """
    _check(queries, vectors, neighbours)
    return _expanded(queries, vectors, neighbours, None)


def alpha_expansion(queries: Array, vectors: Array, neighbours: Array, scores: Array, alpha: float = ALPHA) -> Array:
    """Every query with its neighbours added, those it is sure of more than others: `L2(q + sum_i s_i^alpha x_i)`.

    Args:
        queries: `(m, c)` of unit length.
        vectors: `(n, c)` of unit length.
        neighbours: `(m, k)` int64, rows of `vectors`.
        scores: `(m, k)` similarities; a negative one counts as 0.
        alpha: 0 or above; 0 is `average_expansion`.

    Returns:
        `(m, c)` of unit length.

    Raises:
        ArrayError: for shapes that do not belong together, or rows that are not there.
        UsageError: for a negative alpha.

    >>> found = alpha_expansion(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([[0]]), np.array([[0.5]]))
    >>> found.round(4).tolist()
    [[0.9923, 0.124]]
    """
    _check(queries, vectors, neighbours)
    return _expanded(queries, vectors, neighbours, _weights(neighbours, scores, alpha))


def augmented(vectors: Array, neighbours: Array, scores: Array, alpha: float = ALPHA) -> Array:
    """Every vector of a database with its neighbours added, as `alpha_expansion`; a vector is no neighbour of itself.

    Args:
        vectors: `(n, c)` of unit length.
        neighbours: `(n, k)` int64, rows of `vectors`; that of the vector itself may be among them.
        scores: `(n, k)` similarities; a negative one counts as 0.
        alpha: 0 or above; 0 makes all neighbours equal.

    Returns:
        `(n, c)` of unit length.

    Raises:
        ArrayError: for shapes that do not belong together, or rows that are not there.
        UsageError: for a negative alpha.

    >>> augmented(np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[1.0, 0.0], [1.0, 0.0]])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    _check(vectors, vectors, neighbours)
    xp = namespace_of(vectors, neighbours)
    own = like(np.arange(neighbours.shape[0]), neighbours)[:, None]
    weights = _weights(neighbours, scores, alpha)
    return _expanded(vectors, vectors, neighbours, xp.where(neighbours == own, xp.zeros_like(weights), weights))


def _expanded(own: Array, vectors: Array, neighbours: Array, weights: Array | None) -> Array:
    """`L2(own + sum_i weights_i x_i)`, one neighbour after the other and some rows at a time."""
    xp = namespace_of(own, vectors, neighbours)
    made = []
    for block in row_blocks(own.shape[0]):
        total = at_least_single(own[block, :])
        for j in range(neighbours.shape[1]):
            near = at_least_single(xp.take(vectors, neighbours[block, j], axis=0))
            total = total + (near if weights is None else near * xp.astype(weights[block, j], near.dtype)[:, None])
        made.append(normalized(total))
    return xp.concat(made, axis=0)


def _weights(neighbours: Array, scores: Array, alpha: float) -> Array:
    """`max(s, 0)^alpha`."""
    if not alpha >= 0:
        raise UsageError(f"alpha: 0 or above is needed, found {alpha}")
    if tuple(scores.shape) != tuple(neighbours.shape):
        raise ArrayError(f"{tuple(neighbours.shape)} neighbours have {tuple(scores.shape)} scores")
    return namespace_of(scores).clip(at_least_single(scores), 0, None) ** alpha


def _check(own: Array, vectors: Array, neighbours: Array) -> None:
    shapes = tuple(tuple(one.shape) for one in (own, vectors, neighbours))
    if [len(shape) for shape in shapes] != [2, 2, 2] or own.shape[1] != vectors.shape[1] or 0 in own.shape:
        raise ArrayError(f"vectors (m, c), (n, c) and neighbours (m, k) are needed, found {shapes}")
    if neighbours.shape[0] != own.shape[0]:
        raise ArrayError(f"{own.shape[0]} vectors need as many rows of neighbours, found {neighbours.shape[0]}")
    xp = namespace_of(neighbours)
    if neighbours.shape[1] and not (int(xp.min(neighbours)) >= 0 and int(xp.max(neighbours)) < vectors.shape[0]):
        raise ArrayError(f"neighbours must be rows 0 to {vectors.shape[0] - 1}")
