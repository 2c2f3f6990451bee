"""Ranking by diffusion: what is near the query along the graph, not across it.

`(I - alpha W) x = y` by conjugate gradients; Iscen, Tolias, Avrithis, Furon, Chum (CVPR 2017). Katz centrality is the
same with ones in the place of a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.graphs.affinity import Graph

ALPHA = 0.99
STEPS = 20  # of conjugate gradients: what is not solved by then is ranked well all the same
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Diffused:
    """A solution.

    Attributes:
        x: `(n,)` or `(n, m)` as the right side; `x >= 0` for `y >= 0`, but for rounding.
        steps: of conjugate gradients that were taken.
        residual: the largest `||y - (I - alpha W) x|| / ||y||` of a column.
        converged: whether that is within the tolerance.
    """

    x: Array
    steps: int
    residual: float
    converged: bool


def diffuse(
    graph: Graph, y: Array, alpha: float = ALPHA, *, steps: int = STEPS, tolerance: float = TOLERANCE
) -> Diffused:
    """Solves `(I - alpha W) x = y`; columns are solved side by side.

    Args:
        graph: of the database.
        y: `(n,)` or `(n, m)` float64, where each query begins; see `query_vector`.
        alpha: how far it spreads, 0..1, below 1.
        steps: at most.
        tolerance: of the residual, relative to `y`; a column that is within it is left as it is.

    Raises:
        ArrayError: for a right side of another length.
        UsageError: for an alpha that is not from 0 to below 1.

    >>> graph = Graph(__import__("scipy.sparse").sparse.csr_matrix([[0.0, 1.0], [1.0, 0.0]]))
    >>> diffuse(graph, np.array([1.0, 0.0]), 0.5).x.round(4).tolist()
    [1.3333, 0.6667]
    """
    check_alpha(alpha)
    if y.ndim not in (1, 2) or y.shape[0] != graph.nodes:
        raise ArrayError(f"diffusion: one row for each of {graph.nodes} nodes is needed, found {tuple(y.shape)}")
    xp = namespace_of(y)
    Y = xp.reshape(xp.astype(y, xp.float64), (graph.nodes, -1))
    X, taken, left = _conjugate_gradients(graph, Y, alpha, steps, tolerance)
    return Diffused(xp.reshape(X, y.shape), taken, left, left <= tolerance)


def katz_centrality(graph: Graph, alpha: float = ALPHA, *, steps: int = STEPS) -> Array:
    """How central each node is: `(1 - alpha) (I - alpha W)^-1 1`, `(n,)` float64.

    A node without neighbours has `1 - alpha`.

    Args:
        graph: of regions, or images.
        alpha: how far neighbours of neighbours count, 0..1, below 1.
        steps: of conjugate gradients, at most.

    Raises:
        UsageError: for an alpha that is not from 0 to below 1.
    """
    ones = like(np.ones(graph.nodes), graph.W.data)
    return (1 - alpha) * diffuse(graph, ones, alpha, steps=steps).x


def check_alpha(alpha: float) -> None:
    """Raises UsageError for an alpha with which nothing is solved."""
    if not 0 <= alpha < 1:
        raise UsageError(f"alpha: from 0 to below 1 is needed, found {alpha}")


def _conjugate_gradients(
    graph: Graph, Y: Array, alpha: float, steps: int, tolerance: float
) -> tuple[Array, int, float]:
    """Hestenes and Stiefel's, with a step length of its own for each column."""
    xp = namespace_of(Y)
    X, R, P = xp.zeros_like(Y), Y, Y
    whole = xp.sum(Y * Y, axis=0)
    square, taken = whole, 0
    while taken < steps:
        open_ = square > tolerance**2 * whole
        if not bool(xp.any(open_)):
            break
        Q = P - alpha * (graph.W @ P)
        along = xp.sum(P * Q, axis=0)
        length = xp.where(open_, square, 0.0) / xp.where(open_, along, 1.0)
        X, R = X + length * P, R - length * Q
        after = xp.sum(R * R, axis=0)
        P = R + xp.where(open_, after, 0.0) / xp.where(open_, square, 1.0) * P
        square, taken = xp.where(open_, after, square), taken + 1
    left = xp.sqrt(square / xp.where(whole > 0, whole, 1.0))
    return X, taken, float(xp.max(left)) if Y.shape[1] else 0.0
