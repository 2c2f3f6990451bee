"""Fast spectral ranking: diffusion by the largest eigenvalues of the graph, found once for all queries.

Iscen, Avrithis, Tolias, Furon, Chum: "Fast spectral ranking for similarity search" (CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.graphs.affinity import Graph
from dff_onnx.retrieval.graphs.diffusion import ALPHA, check_alpha
from dff_onnx.retrieval.graphs.eigen import Floats, largest_eigenpairs


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The largest eigenvalues of each connected component, and their vectors.

    W is block-diagonal over components, and a query reaches those alone that it enters. A component of m nodes has
    `min(m, rank)` eigenvalues: those of small ones are all there, and their part of an answer is exact.

    Attributes:
        component: `(n,)` int64, of each node.
        row: `(n,)` int64, of each node among its component's vectors.
        values: of each component, falling, float64.
        vectors: of each component, `(m, min(m, rank))`, a row for each of its nodes by rising index.
        members: of each component, `(m,)` its nodes.
    """

    component: NDArray[np.int64]
    row: NDArray[np.int64]
    values: tuple[Floats, ...]
    vectors: tuple[Floats, ...]
    members: tuple[NDArray[np.int64], ...]

    @property
    def nodes(self) -> int:
        """How many there are."""
        return len(self.component)

    @property
    def rank(self) -> int:
        """The most eigenvalues that a component has."""
        return max(map(len, self.values), default=0)


def spectrum_of(graph: Graph, rank: int, seed: int = 0, dtype: type[np.floating] = np.float64) -> Spectrum:
    """The spectrum of a graph, on the host.

    Args:
        graph: of the database.
        rank: eigenvalues of a component, at most.
        seed: of where the iteration of a large component begins.
        dtype: of the vectors; float32 takes half the room and time.

    Raises:
        UsageError: for a rank below 1.
    """
    if rank < 1:
        raise UsageError(f"rank: at least 1 is needed, found {rank}")
    count, labels = connected_components(graph.W, directed=False)
    order = np.argsort(labels, kind="stable")
    members = np.split(order, np.searchsorted(labels[order], np.arange(1, count))) if count else []
    row = np.empty(graph.nodes, np.int64)
    values, vectors = list[Floats](), list[Floats]()
    for nodes in members:
        row[nodes] = np.arange(len(nodes))
        W = graph.W if len(members) == 1 else graph.part(nodes).W
        found, U = largest_eigenpairs(W.astype(dtype), rank, seed)
        values.append(found)
        vectors.append(np.ascontiguousarray(U))
    return Spectrum(labels.astype(np.int64), row, tuple(values), tuple(vectors), tuple(map(np.asarray, members)))


def spectral_scores(
    spectrum: Spectrum, y: NDArray[np.float64], alpha: float = ALPHA, tail: bool = True
) -> NDArray[np.float64]:
    """What diffusion would give each node, times `1 - alpha`.

    Args:
        spectrum: of the graph.
        y: `(n,)`, see `query_vector`; only the vectors' rows where it is not 0 are read before the one product.
        alpha: how far the query spreads.
        tail: treat the eigenvalues that are not there as 0; without it, as if they were minus infinity.

    Returns:
        `(n,)` float64.

    Raises:
        ArrayError: for a y of another length.
        UsageError: for an alpha that is not from 0 to below 1.
    """
    x = np.zeros(spectrum.nodes)
    for which, inside in _entered(spectrum, y, alpha, tail):
        x[spectrum.members[which]] = spectrum.vectors[which] @ inside
    return x + (1 - alpha) * y if tail else x


@dataclass(frozen=True, slots=True, eq=False)
class PooledSpectrum:
    """A spectrum of regions, its vectors added up for each image: an answer costs a row for each image, not region.

    Attributes:
        spectrum: of the regions.
        weights: `(n,)` of the regions, see `pooling_weights`.
        owners: `(n,)` the image of each region.
        images: how many there are.
        members: of each component, the images that have a region in it.
        vectors: of each component, `(images in it, r)` the weighted sums of their regions' rows.
    """

    spectrum: Spectrum
    weights: NDArray[np.float64]
    owners: NDArray[np.int64]
    images: int
    members: tuple[NDArray[np.int64], ...]
    vectors: tuple[Floats, ...]

    @classmethod
    def of(
        cls, spectrum: Spectrum, weights: NDArray[np.float64], owners: NDArray[np.int64], images: int
    ) -> PooledSpectrum:
        """Adds them up."""
        members, vectors = list[NDArray[np.int64]](), list[Floats]()
        for nodes, U in zip(spectrum.members, spectrum.vectors, strict=True):
            there, place = np.unique(owners[nodes], return_inverse=True)
            pool = csr_matrix(
                (weights[nodes].astype(U.dtype), (place, np.arange(len(nodes)))), (len(there), len(nodes))
            )
            members.append(there)
            vectors.append(np.asarray(pool @ U))
        return cls(spectrum, weights, owners, images, tuple(members), tuple(vectors))

    def scores(self, y: NDArray[np.float64], alpha: float = ALPHA, tail: bool = True) -> NDArray[np.float64]:
        """Of images, `(images,)`: `spectral_scores` of the regions, weighted and added up; arguments as there."""
        x = np.zeros(self.images)
        for which, inside in _entered(self.spectrum, y, alpha, tail):
            x[self.members[which]] += self.vectors[which] @ inside
        if tail:
            entered = np.flatnonzero(y)
            np.add.at(x, self.owners[entered], (1 - alpha) * self.weights[entered] * y[entered])
        return x


def _entered(spectrum: Spectrum, y: NDArray[np.float64], alpha: float, tail: bool) -> Iterator[tuple[int, Floats]]:
    """The components that a query enters, and what is to be multiplied with their vectors, `(r,)`."""
    check_alpha(alpha)
    if y.shape != (spectrum.nodes,):
        raise ArrayError(f"spectral ranking: y of {spectrum.nodes} nodes is needed, found {tuple(y.shape)}")
    entered = np.flatnonzero(y)
    for which in np.unique(spectrum.component[entered]).tolist():
        nodes = entered[spectrum.component[entered] == which]
        U = spectrum.vectors[which]
        inside = U[spectrum.row[nodes]].astype(np.float64).T @ y[nodes]
        yield which, (gains(spectrum.values[which], alpha, tail) * inside).astype(U.dtype)


def gains(values: Floats, alpha: float = ALPHA, tail: bool = True) -> Floats:
    """What the diffusion makes of each eigenvalue: `(1 - alpha) / (1 - alpha l)`; with a tail, less `1 - alpha`."""
    transfer = (1 - alpha) / (1 - alpha * values)
    return np.asarray(transfer - (1 - alpha) if tail else transfer)
