"""Diffusion solved once for every node of the database, each among its nearest alone.

Yang, Hinami, Matsui, Ly, Satoh: "Efficient image retrieval via decoupling diffusion into online and offline processing"
(AAAI 2019). A query's answer is a weighted sum of its neighbours' solutions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dff_onnx.arrays.sparse import Sparse
from dff_onnx.errors import ArrayError
from dff_onnx.retrieval.graphs.affinity import Graph
from dff_onnx.retrieval.graphs.diffusion import ALPHA, STEPS, TOLERANCE, check_alpha, diffuse
from dff_onnx.threads import available_cores, in_order

TRUNCATED = 1000  # nodes that a solution is looked for among


def offline_diffusion(
    graph: Graph, neighbours: NDArray[np.int64], alpha: float = ALPHA, *, steps: int = STEPS
) -> Sparse:
    """The solution of every node as its own query, among its neighbours.

    Args:
        graph: of the database, on the host.
        neighbours: `(n, t)` of each node, the node itself among them; about 1000.
        alpha: how far it spreads.
        steps: of conjugate gradients, at most.

    Returns:
        `(n, n)` sparse float64: row i is the solution for node i. For a query: `y @ solutions`.

    Raises:
        ArrayError: for neighbours that do not belong to the graph.
        UsageError: for an alpha that is not from 0 to below 1.

    >>> graph = Graph(csr_matrix([[0.0, 1.0], [1.0, 0.0]]))
    >>> offline_diffusion(graph, np.array([[0, 1], [1, 0]]), 0.5).toarray().round(4).tolist()
    [[1.3333, 0.6667], [0.6667, 1.3333]]
    """
    check_alpha(alpha)
    n = graph.nodes
    if neighbours.ndim != 2 or len(neighbours) != n or not (neighbours == np.arange(n)[:, None]).any(axis=1).all():
        raise ArrayError(f"neighbours ({n}, t), each node's own index among them, are needed; found {neighbours.shape}")

    def solved(node: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        near = np.sort(neighbours[node])
        y = (near == node).astype(np.float64)
        return near, diffuse(graph.part(near), y, alpha, steps=steps, tolerance=TOLERANCE).x

    found = list(in_order(range(n), solved, available_cores()))
    columns, values = (np.concatenate([one[at] for one in found]) for at in (0, 1))
    return csr_matrix((values, columns, np.arange(n + 1) * neighbours.shape[1]), shape=(n, n))
