"""A search that asks a graph first: what it names is compared exactly, what it misses is missed."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dff_onnx.report.search_found import SearchResult
from dff_onnx.retrieval import rank
from dff_onnx.runs.own_picture import OwnPicture
from dff_onnx.runs.search_regions import compared
from dff_onnx.store import ImageRecord, VectorStore
from dff_onnx.store.faiss_side import FaissSide, file_beside

SPARE = 4  # candidates a result, for the graph's vectors are halves
REGIONS = 32  # regions a result: those of one image may come one after the other

T = TypeVar("T")
Floats = NDArray[np.float32]


def approximate_images(
    store: VectorStore, vector: Floats, top: int, own: OwnPicture | None
) -> tuple[SearchResult, ...]:
    """The images nearest to a vector, best first; of equals, the lower id.

    Args:
        store: an index in a file with a graph of images beside it.
        vector: `(d,)` of the query.
        top: how many.
        own: the query's own picture, which is left out.

    Raises:
        UsageError: when there is no graph, the index is on a server, or faiss is not installed.
        StoreError: when the graph is older than the index, or damaged.
    """
    graph = FaissSide.open(store, file_beside(store, "images"), "images")
    ids = np.sort(_found(graph, vector[None], SPARE * _asked(top, own)))
    ranking = rank(vector[None], store.vectors("images", ids.tolist()), len(ids))
    records = store.images(ids[ranking.indices[0]].tolist())
    scored = list(zip(records, ranking.scores[0].tolist(), strict=True))
    return tuple(
        SearchResult(place, record.path, score, record.label, None, record.id)
        for place, (record, score) in enumerate(_without_own(scored, top, own), 1)
    )


def approximate_regions(
    store: VectorStore, wanted: Floats, unwanted: Floats, top: int, own: OwnPicture | None
) -> tuple[SearchResult, ...]:
    """The images that have all wanted parts and none of the unwanted ones, of those that a graph finds for a part.

    Args:
        store: an index in a file with a graph of regions beside it.
        wanted, unwanted: `(p, d)` and `(u, d)` parts; at least one is wanted.
        top, own: see `approximate_images`.

    Raises:
        UsageError, StoreError: as `approximate_images`.
    """
    graph = FaissSide.open(store, file_beside(store, "regions"), "regions")
    regions = store.regions(_found(graph, wanted, REGIONS * _asked(top, own)).tolist())
    images = sorted({region.image for region in regions})
    best = compared(store, wanted, unwanted, images)
    records = store.images([one.image for one in best])
    scored = list(zip(records, best, strict=True))
    return tuple(
        SearchResult(place, record.path, one.score, record.label, one.box, record.id)
        for place, (record, one) in enumerate(_without_own(scored, top, own), 1)
    )


def _asked(top: int, own: OwnPicture | None) -> int:
    return top if own is None else top + 1


def _found(graph: FaissSide, parts: Floats, number: int) -> NDArray[np.int64]:
    """Ids that the graph names for any part, each once."""
    ids = np.unique(graph(parts, number))
    return ids[ids >= 0]


def _without_own(scored: list[tuple[ImageRecord, T]], top: int, own: OwnPicture | None) -> list[tuple[ImageRecord, T]]:
    return [(record, one) for record, one in scored if own is None or not own.is_of(record)][:top]
