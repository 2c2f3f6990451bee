"""What ranking on the graph of an index needs and can be made beforehand: the graph, its spectrum, solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.sparse import Sparse
from dff_onnx.errors import StoreError, UsageError
from dff_onnx.progress import Progress, Silent
from dff_onnx.retrieval.graphs import (
    Graph,
    Spectrum,
    mutual_graph,
    nearest_neighbours,
    offline_diffusion,
    pooling_weights,
    spectrum_of,
)
from dff_onnx.retrieval.graphs.offline import TRUNCATED
from dff_onnx.store import VectorStore, check_not_empty
from dff_onnx.store.protocol import Kind

NEIGHBOURS: dict[Kind, int] = {"images": 50, "regions": 200}  # Iscen et al., CVPR 2017
# In a small collection a tenth of all, but not too few: a graph of everyone forgets where it was entered.
FEWEST, SHARE = 6, 10


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """All vectors of a kind; those of one image lie side by side.

    Attributes:
        ids: `(n,)` int64, of images or regions.
        owners: `(n,)` int64, the place of each one's image among `images`; not falling.
        images: int64, ids of the images, rising.
        vectors: `(n, d)` float32.
    """

    ids: NDArray[np.int64]
    owners: NDArray[np.int64]
    images: NDArray[np.int64]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, store: VectorStore, kind: Kind) -> Nodes:
        """Reads them.

        Raises:
            StoreError: when there are none.
        """
        check_not_empty(store, kind)
        blocks = list(store.blocks(kind))
        ids, owned = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("ids", "images"))
        vectors = np.concatenate([np.asarray(block.vectors, np.float32) for block in blocks])
        images, owners = np.unique(owned, return_inverse=True)
        if (np.diff(owners) < 0).any():
            order = np.argsort(owners, kind="stable")
            ids, owners, vectors = ids[order], owners[order], vectors[order]
        return cls(ids, owners.astype(np.int64), images, vectors)

    @classmethod
    def of_images(cls, vectors: NDArray[np.float32]) -> Nodes:
        """Images that are numbered from 0, `(n, d)`."""
        numbers = np.arange(len(vectors))
        return cls(numbers, numbers, numbers, vectors)

    @classmethod
    def of_regions(cls, parts: Sequence[NDArray[np.float32]]) -> Nodes:
        """Regions of images that are numbered from 0: of each image `(p, d)`."""
        owners = np.repeat(np.arange(len(parts)), [len(one) for one in parts])
        return cls(np.arange(len(owners)), owners, np.arange(len(parts)), np.concatenate(parts))

    def some(self, chosen: NDArray[np.bool_]) -> Nodes:
        """Those chosen, `(n,)`, and the images that are left."""
        images, owners = np.unique(self.owners[chosen], return_inverse=True)
        return Nodes(self.ids[chosen], owners.astype(np.int64), self.images[images], self.vectors[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class GraphParts:
    """What was made beforehand.

    Attributes:
        kind: of the nodes.
        k: neighbours that the graph was made of.
        graph: of all images or regions, in the order of `Nodes`.
        weights: `(n,)` of regions in their images; ones for images.
        spectrum: None where none was asked for.
        solutions: `(n, n)` sparse, row by row, see `offline_diffusion`; None where they were not asked for.
        rank: eigenvalues that were asked for, of which a small graph has fewer; 0 where none were.
    """

    kind: Kind
    k: int
    graph: Graph
    weights: NDArray[np.float64]
    spectrum: Spectrum | None = None
    solutions: Sparse | None = None
    rank: int = 0


def made_graph_parts(
    store: VectorStore,
    kind: Kind = "images",
    k: int | None = None,
    rank: int = 0,
    offline: bool = False,
    progress: Progress | None = None,
) -> GraphParts:
    """Makes them of an index.

    Args:
        store: the index.
        kind: images or regions.
        k: neighbours of each, itself among them; by default `usual_neighbours` of 50 for images and 200 for regions.
        rank: eigenvalues of each connected component; 0 makes no spectrum.
        offline: whether every node is diffused beforehand, among its 1000 nearest.
        progress: follows the stages.

    Raises:
        UsageError: for a k or a rank that cannot be.
        StoreError: when there is nothing of the kind, or it changed meanwhile.
    """
    state, nodes = store.state(), Nodes.of(store, kind)
    made = parts_of_nodes(nodes, kind, k, rank, offline, progress)
    if store.state() != state:
        raise StoreError(f"{store.where}: changed while its graph was made; make it once nobody writes")
    return made


def parts_of_nodes(
    nodes: Nodes,
    kind: Kind,
    k: int | None = None,
    rank: int = 0,
    offline: bool = False,
    progress: Progress | None = None,
) -> GraphParts:
    """Makes them of vectors; arguments and errors as those of `made_graph_parts`."""
    progress = progress or Silent()
    k = usual_neighbours(NEIGHBOURS[kind], len(nodes.ids)) if k is None else k
    if k < 2:
        raise UsageError(f"--k: a node has itself among its neighbours, so that at least 2 are needed; found {k}")
    if rank < 0:
        raise UsageError(f"--rank: eigenvalues from 1 are possible, and 0 for none; found {rank}")
    progress.start("finding neighbours")
    near = nearest_neighbours(nodes.vectors, k)
    with single_threaded_blas():
        graph, weights = mutual_graph(near.indices, near.scores), weights_of(nodes, kind)
        progress.start("finding eigenvalues" if rank else "diffusing")
        spectrum = spectrum_of(graph, rank, dtype=np.float32) if rank else None
        solutions = _solutions(graph, nodes.vectors) if offline else None
    return GraphParts(kind, k, graph, weights, spectrum, solutions, rank)


def usual_neighbours(most: int, nodes: int) -> int:
    """Neighbours of a node, itself among them, that a graph is made of where nobody says it.

    >>> [usual_neighbours(50, nodes) for nodes in (13, 301, 5000)]
    [6, 30, 50]
    """
    return min(most, max(FEWEST, nodes // SHARE))


def weights_of(nodes: Nodes, kind: Kind) -> NDArray[np.float64]:
    """What each node counts in its image."""
    return np.ones(len(nodes.ids)) if kind == "images" else pooling_weights(nodes.vectors, nodes.owners)


def graph_beside(store: VectorStore, kind: Kind, given: Path | None = None) -> Path:
    """The file of a graph: as given, or beside an index in a file.

    Raises:
        UsageError: for an index on a server, when no file is named.
    """
    if given is not None:
        return given
    index = Path(store.where)
    if not index.is_file():
        raise UsageError(f"{store.where}: is no file that a graph can lie beside; name the graph's file with --graph")
    return index.with_name(f"{index.name}.{kind}.graph")


def _solutions(graph: Graph, vectors: NDArray[np.float32]) -> Sparse:
    """Of every node, among its nearest; of more copies than that, a node is still its own neighbour."""
    near = np.asarray(nearest_neighbours(vectors, min(TRUNCATED, len(vectors))).indices)
    own = np.arange(len(near))
    lost = ~(near == own[:, None]).any(axis=1)
    near[lost, -1] = own[lost]
    return offline_diffusion(graph, near)
