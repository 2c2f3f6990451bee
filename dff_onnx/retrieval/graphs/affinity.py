"""The graph of a database: who is among whose nearest neighbours, both ways, and how near.

As in the code of Iscen, Tolias, Avrithis, Furon, Chum: "Efficient diffusion on region manifolds" (CVPR 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import double, like
from dff_onnx.arrays.sparse import Sparse, compressed_rows
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.graphs.neighbours import nearest_neighbours

NEIGHBOURS = 50  # of an image; regions take 200
GAMMA = 3.0  # what similarities are raised to


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A weighted graph of n nodes.

    Attributes:
        W: `(n, n)` sparse, float64: `D^-1/2 A D^-1/2` of the affinity `A`; its eigenvalues lie in -1..1. The row of a
            node without neighbours is empty.
        roots: `(n,)` above 0, with `W roots <= roots`, which proves the eigenvalues: the roots of the degrees, 1 where
            a degree is 0. None where nobody needs the proof.
    """

    W: Sparse
    roots: Array | None = None

    @property
    def nodes(self) -> int:
        """How many there are."""
        return int(self.W.shape[0])

    @property
    def edges(self) -> int:
        """How many there are, each counted once."""
        return int(self.W.nnz) // 2

    def part(self, nodes: Array) -> Graph:
        """The graph of some nodes alone, in the order given; edges keep their weights, so that it may be solved in."""
        roots = None if self.roots is None else namespace_of(self.roots).take(self.roots, nodes)
        return Graph(self.W[nodes, :][:, nodes], roots)


def graph_of(vectors: Array, k: int = NEIGHBOURS, gamma: float = GAMMA) -> Graph:
    """The graph of vectors, from exact neighbours.

    Args:
        vectors: `(n, c)` of unit length; of equal similarities the lower index is nearer.
        k: neighbours looked at, the vector itself among them.
        gamma: what similarities are raised to.

    Raises:
        ArrayError: for vectors that are none.
        UsageError: for a k below 1 or a gamma that is not positive.

    >>> graph = graph_of(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, -1.0]]), k=2)
    >>> graph.W.toarray().round(2).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    found = nearest_neighbours(vectors, k)
    return mutual_graph(found.indices, found.scores, gamma)


def mutual_graph(neighbours: Array, similarities: Array, gamma: float = GAMMA) -> Graph:
    """The graph of a table of neighbours, whoever found them: of its affinity, see `mutual_affinity`."""
    return graph_of_affinity(mutual_affinity(neighbours, similarities, gamma))


def mutual_affinity(neighbours: Array, similarities: Array, gamma: float = GAMMA) -> Sparse:
    """How near nodes are that are each other's neighbours: `(n, n)` sparse, symmetric, without a diagonal.

    An edge is kept where each of its ends is a neighbour of the other and their similarity is above 0; it weighs
    `s^gamma`, of two that differ by rounding the smaller.

    Args:
        neighbours: `(n, k)` indices of nodes, none twice in a row; a negative one stands for none.
        similarities: `(n, k)`, of unit vectors.
        gamma: above 0.

    Raises:
        ArrayError: for tables that do not belong together.
        UsageError: for a gamma that is not positive.

    >>> mutual_affinity(np.array([[0, 1], [1, 0], [2, 1]]), np.array([[1, 0.5], [1, 0.5], [1, 0.4]])).toarray().tolist()
    [[0.0, 0.125, 0.0], [0.125, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    n, k = _checked(neighbours, similarities, gamma)
    xp = namespace_of(neighbours, similarities)
    columns = xp.reshape(neighbours, (-1,))
    rows = like(np.repeat(np.arange(n), k), columns)
    values = xp.reshape(xp.clip(double(similarities), 0, None) ** gamma, (-1,))
    kept = (columns >= 0) & (columns != rows) & (values > 0)
    counts = xp.sum(xp.reshape(kept, (n, k)), axis=1)
    starts = like(np.concatenate([[0], np.cumsum(to_numpy(counts))]), columns)
    S = compressed_rows(values[kept], columns[kept], starts, (n, n))
    A = S.minimum(S.T).tocsr()
    A.eliminate_zeros()
    A.sort_indices()
    return A


def graph_of_affinity(A: Sparse) -> Graph:
    """The graph of a symmetric affinity: its weights are divided by the roots of both ends' degrees."""
    return Graph(normalized_affinity(A), degree_roots(A))


def degree_roots(A: Sparse) -> Array:
    """The roots of the degrees of a symmetric `A`, `(n,)`; 1 where a degree is 0."""
    xp = namespace_of(A.data)
    degrees = xp.asarray(A.sum(axis=1)).reshape(-1)
    return xp.sqrt(xp.where(degrees > 0, degrees, 1.0))


def normalized_affinity(A: Sparse) -> Sparse:
    """`D^-1/2 A D^-1/2` with the degrees `D` of a symmetric `A`; 0 where a degree is."""
    roots, listed = degree_roots(A), A.tocoo()
    values = listed.data / (roots[listed.row] * roots[listed.col])  # so both halves have the same bits
    return compressed_rows(values, A.indices, A.indptr, A.shape)


def _checked(neighbours: Array, similarities: Array, gamma: float) -> tuple[int, int]:
    shape = tuple(neighbours.shape)
    if len(shape) != 2 or 0 in shape or tuple(similarities.shape) != shape:
        raise ArrayError(
            f"neighbours (n, k) with as many similarities are needed, found {shape} and {tuple(similarities.shape)}"
        )
    xp = namespace_of(neighbours)
    if int(xp.max(neighbours)) >= shape[0]:
        raise ArrayError(f"neighbours must be nodes 0 to {shape[0] - 1}")
    ordered = xp.sort(neighbours, axis=1)
    if bool(xp.any((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0))):
        raise ArrayError("a node has the same neighbour twice")
    if not bool(xp.all(xp.isfinite(similarities) | (neighbours < 0))):
        raise ArrayError("a similarity is not finite")
    if not gamma > 0:
        raise UsageError(f"gamma: above 0 is needed, found {gamma}")
    return shape
