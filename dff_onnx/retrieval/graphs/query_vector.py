"""Where a query enters the graph: its nearest nodes. The query is no node, so that any query can be asked."""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double, like, zeros_like_with
from dff_onnx.arrays.order import order_by
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.graphs.affinity import GAMMA
from dff_onnx.retrieval.ranking import Ranking

QUERY_NEIGHBOURS = 10  # images; of regions 200


def query_vector(nearest: Ranking, nodes: int, entries: int = QUERY_NEIGHBOURS, gamma: float = GAMMA) -> Array:
    """The right side of the diffusion of one query, `(n,)` float64, from the nearest nodes of each of its parts.

    Similarities to all parts of the query are added up for each node; the largest sums are kept, `max(s, 0)^gamma`.

    Args:
        nearest: `(p, k)` of the query's p parts among the nodes, as `rank` gives it; one part for a whole picture.
        nodes: n.
        entries: nodes that are kept; of equal sums the lower index.
        gamma: what sums are raised to.

    Raises:
        ArrayError: for rows that are not there.
        UsageError: for fewer entries than one.

    >>> near = Ranking(np.array([[0.5, 0.25], [0.5, 0.25]], np.float32), np.array([[2, 0], [2, 1]]))
    >>> query_vector(near, 3, entries=2, gamma=1.0).tolist()
    [0.25, 0.0, 1.0]
    """
    xp = namespace_of(nearest.indices, nearest.scores)
    if entries < 1:
        raise UsageError(f"entries: at least one node is needed, found {entries}")
    where = xp.reshape(nearest.indices, (-1,))
    if where.shape[0] and not 0 <= int(xp.min(where)) <= int(xp.max(where)) < nodes:
        raise ArrayError(f"neighbours must be nodes 0 to {nodes - 1}")
    sums = _added(where, xp.reshape(double(nearest.scores), (-1,)), nodes)
    kept = order_by(-sums, like(np.arange(nodes), where))[:entries]
    y = zeros_like_with((nodes,), sums, xp.float64)
    y[kept] = xp.clip(xp.take(sums, kept), 0, None) ** gamma
    return y


def _added(where: Array, values: Array, nodes: int) -> Array:
    """Values added up by node, in order: `bincount` is in NumPy and CuPy, and not in the standard."""
    xp = namespace_of(where)
    if hasattr(xp, "bincount"):
        return xp.bincount(where, weights=values, minlength=nodes)
    one = xp.astype(where[None, :] == like(np.arange(nodes), where)[:, None], values.dtype)
    return one @ values
