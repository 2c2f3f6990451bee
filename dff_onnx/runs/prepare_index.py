"""Approximate graphs are built beside an index in a file, and compared with the exact answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.progress import Progress, Silent
from dff_onnx.retrieval import rank
from dff_onnx.store import Kind, VectorStore, check_not_empty, open_store
from dff_onnx.store.faiss_side import FaissSide, file_beside, recall

SAMPLE, NEIGHBOURS = 200, 10  # vectors that ask, and how many neighbours of each are compared


@dataclass(frozen=True, slots=True)
class Prepared:
    """A graph that was built.

    Attributes:
        kind: of vectors.
        path: of the graph.
        vectors: in it.
        file_bytes: of the graph.
        seconds: that building took.
        recall: the share of the nearest neighbours that it finds, 0..1; 1 where there is one vector only.
        neighbours: of each vector that were compared, itself left out.
        asked: vectors that asked, evenly spread over the index.
    """

    kind: Kind
    path: Path
    vectors: int
    file_bytes: int
    seconds: float
    recall: float
    neighbours: int
    asked: int


def prepare_index(where: str | Path, progress: Progress | None = None) -> tuple[Prepared, ...]:
    """Builds the graphs of an index, of its images and of its regions where there are any.

    Args:
        where: a file.
        progress: follows the stages.

    Raises:
        UsageError: when there is no index, it is on a server, or faiss is not installed.
        StoreError: when there is something else, it is empty, or changed meanwhile.
        OutputError: when a graph cannot be written.
    """
    progress = progress or Silent()
    with open_store(where) as store:
        check_not_empty(store)
        kinds: list[Kind] = ["images", "regions"] if store.counts().regions else ["images"]
        return tuple(_prepared(store, kind, progress) for kind in kinds)


def _prepared(store: VectorStore, kind: Kind, progress: Progress) -> Prepared:
    path = file_beside(store, kind)
    progress.start(f"building the graph of {kind}")
    began = time.perf_counter()
    graph = FaissSide.build(store, path, kind)
    seconds = time.perf_counter() - began
    progress.start("comparing it with the exact answer")
    counts = store.counts()
    vectors = counts.images if kind == "images" else counts.regions
    neighbours = min(NEIGHBOURS, vectors - 1)
    ids, queries = _sample(store, kind, vectors)
    return Prepared(
        kind=kind,
        path=path,
        vectors=vectors,
        file_bytes=path.stat().st_size,
        seconds=seconds,
        recall=_recall(store, kind, graph, ids, queries, neighbours) if neighbours else 1.0,
        neighbours=neighbours,
        asked=len(ids),
    )


def _sample(store: VectorStore, kind: Kind, vectors: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids and vectors, evenly spread."""
    every = np.concatenate([block.ids for block in store.blocks(kind)])
    ids = every[np.unique(np.linspace(0, vectors - 1, min(SAMPLE, vectors)).astype(np.int64))]
    return ids, np.asarray(store.vectors(kind, ids.tolist()), np.float32)


def _recall(
    store: VectorStore,
    kind: Kind,
    graph: FaissSide,
    ids: NDArray[np.int64],
    queries: NDArray[np.float32],
    neighbours: int,
) -> float:
    every = list[NDArray[np.int64]]()

    def rows() -> Iterator[NDArray[Any]]:
        for block in store.blocks(kind):
            every.append(block.ids)
            yield block.vectors

    with single_threaded_blas():
        places = rank(queries, rows(), neighbours + 1).indices
    exact = np.concatenate(every)[places]
    found = graph(queries, neighbours + 1)
    return recall(_others(found, ids, neighbours), _others(exact, ids, neighbours))


def _others(found: NDArray[np.int64], own: NDArray[np.int64], neighbours: int) -> NDArray[np.int64]:
    """Neighbours `(q, k)` without the vector that asked."""
    return np.stack([row[row != one][:neighbours] for row, one in zip(found, own, strict=True)])
