"""The graph of the regions of a collection, and how central each region is in it.

The graph is that of Iscen, Tolias, Avrithis, Furon, Chum (CVPR 2017), the centrality Katz' (1953), as Simeoni et al.
(2017, arXiv:1709.04725) use it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import cg

from dff_onnx.retrieval import rank

ALPHA, POWER, STEPS = 0.99, 3, 20


def region_graph(vectors: NDArray[np.float32], k: int) -> csr_array:
    """Cubed similarities of regions that are among each other's k nearest (themselves counted), `(r, r)`.

    >>> region_graph(np.eye(2, dtype=np.float32)[[0, 0, 1]], 2).toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    found = rank(vectors, vectors, k)
    rows = np.repeat(np.arange(len(vectors)), found.indices.shape[1])
    heights = np.clip(np.asarray(found.scores, np.float64).ravel(), 0, None) ** POWER
    heights[rows == found.indices.ravel()] = 0
    graph = csr_array(coo_array((heights, (rows, found.indices.ravel())), shape=(len(vectors),) * 2))
    mutual = csr_array(graph.minimum(graph.T))
    mutual.eliminate_zeros()
    return mutual


def centrality(vectors: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """How central each region is: `(I - a W) g = (1 - a) 1`, of the graph's normalized adjacency W and a = 0.99.

    Args:
        vectors: `(r, d)` of unit length.
        k: neighbours of each, itself counted.

    Returns:
        `(r,)`, `>= 0`; 0.01 for a region without neighbours.

    >>> centrality(np.eye(2, dtype=np.float32)[[0, 0, 1]], 2).round(2).tolist()
    [1.0, 1.0, 0.01]
    """
    graph = region_graph(vectors, k)
    degrees = graph.sum(axis=1)
    scale = diags_array(1 / np.sqrt(np.where(degrees > 0, degrees, 1)))
    system = eye_array(len(vectors)) - ALPHA * (scale @ graph @ scale)
    # Twenty steps are meant to be enough; what is not at rest by then is near.
    solved, _ = cg(csr_array(system), np.full(len(vectors), 1 - ALPHA), rtol=1e-6, maxiter=STEPS)
    return np.clip(np.asarray(solved, np.float64), 0, None)
