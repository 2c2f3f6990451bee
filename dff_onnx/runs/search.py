"""Searches an index for what a picture, a part of it, or several parts show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError, StoreError, UsageError
from dff_onnx.report.search_found import Part, SearchFound, SearchResult
from dff_onnx.retrieval import alpha_expansion, average_expansion, rank
from dff_onnx.runs.descriptors import Describer
from dff_onnx.runs.graph_ranking import query_parts
from dff_onnx.runs.own_picture import OwnPicture, name_in
from dff_onnx.runs.rerank import COUNTED, EXPANSIONS, OF_REGIONS, Rerank, Reranked, check_graph_used, reranked
from dff_onnx.runs.search_approximate import approximate_images, approximate_regions
from dff_onnx.runs.search_regions import best_images
from dff_onnx.store import ImageRecord, VectorStore, check_not_empty

MOST = 10_000  # results
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How an index is searched.

    Attributes:
        top: results.
        regions: whether a picture counts as far as its best region does, and that region's box is told.
        rerank: how the first answer is improved upon: the query takes its first results along and asks again (`aqe`,
            `alpha-qe`), is diffused on the graph of images (`diffusion`, `offline`, `fsr`) or of regions (`regional`,
            and `offline` and `fsr` with `regions`), or matched region by region (`rmatch`).
        rerank_with: how many of the nearest count for that; by default as `rerank.COUNTED` has it.
        exclude_self: whether the query's own picture is left out.
        approximate: whether a graph beside the index is asked, which misses some; see `prepare_index`.
    """

    top: int = 10
    regions: bool = False
    rerank: Rerank = "none"
    rerank_with: int | None = None
    exclude_self: bool = False
    approximate: bool = False

    def __post_init__(self) -> None:
        if self.rerank not in get_args(Rerank):
            raise UsageError(f"rerank: {self.rerank!r} is not one of {', '.join(get_args(Rerank))}")
        if self.rerank_with is not None and self.rerank not in COUNTED:
            raise UsageError(f"--rerank-with: --rerank {self.rerank} counts no nearest; leave it out")
        counted = 1 if self.counted is None else self.counted
        for option, value in (("--top", self.top), ("--rerank-with", counted)):
            if not 1 <= value <= MOST:
                raise UsageError(f"{option}: 1 to {MOST} results are possible, found {value}")
        if self.regions and self.rerank in ("aqe", "alpha-qe", "diffusion"):
            raise UsageError(f"--rerank {self.rerank}: is of whole images; it does not go with a search among regions")
        if self.approximate and self.rerank != "none":
            raise UsageError(
                f"--approximate: what a graph misses is missing for --rerank {self.rerank}, too; leave one of them out"
            )

    @property
    def counted(self) -> int | None:
        """How many of the nearest count; None where that is no question."""
        if self.rerank_with is None and self.regions and self.rerank in ("offline", "fsr"):
            return COUNTED["regional"]
        return COUNTED.get(self.rerank) if self.rerank_with is None else self.rerank_with

    def to_dict(self) -> dict[str, Any]:
        """As files keep it."""
        own = {} if self.counted is None else {"rerank_with": self.counted}
        return {
            "top": self.top,
            "regions": self.regions,
            "rerank": self.rerank,
            **own,
            "exclude_self": self.exclude_self,
            **({"approximate": True} if self.approximate else {}),
        }


def search(
    store: VectorStore,
    describer: Describer,
    query: Part,
    settings: SearchSettings | None = None,
    *,
    also: Sequence[Part] = (),
    without: Sequence[Part] = (),
    folder: Path | None = None,
    graph: Path | None = None,
) -> SearchFound:
    """The images of an index that are most similar to a query, exactly; or as `settings.rerank` has it, or quicker.

    Several parts, and a part by its concept's number, are looked for among regions: an image has all wanted parts as
    far as it has the least of them, less what it most has of the unwanted ones.

    Args:
        store: the index.
        describer: makes descriptors as the index has them.
        query: a picture or a part of one; its box is told of each result where regions are searched.
        settings: by default the ten most similar images.
        also, without: further parts, wanted and not.
        folder: that the index's paths are relative to: tells whether the query is in it, and with `os-egm`, whose
            votes do not count.
        graph: a file of `dff-onnx index-graph`; by default that beside the index, where it is needed or there is one.

    Raises:
        ImageError: when a picture cannot be read, or shows the network nothing.
        UsageError: for a box or a concept that is not there, or options that do not go together; for an approximate
            answer, when there is no graph, or no faiss.
        StoreError: when the index is empty, has no regions where they are needed, or is damaged; when its graph is old.
    """
    settings = settings or SearchSettings()
    check_graph_used(settings.rerank, graph)
    if also or without or any(part.concept is not None for part in (query, *also, *without)):
        settings = replace(settings, regions=True)
    if settings.rerank != "none" and (also or without):
        raise UsageError(f"--rerank {settings.rerank}: is of one query; it does not go with --also and --without")
    check_not_empty(store)
    if settings.regions or settings.rerank in OF_REGIONS:
        check_not_empty(store, "regions")
    described = [vectors_of(describer, part, name_in(part.path, folder)) for part in (query, *also, *without)]
    vectors, parts = [vector for vector, _ in described], described[0][1]
    _check_width(vectors[0], store)
    own = OwnPicture.of(query.path, folder) if settings.exclude_self else None
    how = dict[str, Any]()
    with single_threaded_blas():
        if settings.rerank not in ("none", *EXPANSIONS):
            ranked = reranked(
                store, vectors[0], parts, settings.rerank,
                regions=settings.regions, counted=settings.counted, graph=graph,
            )  # fmt: skip
            how, results = {"ranked": dict(ranked.how)}, _of_ranked(store, vectors[0], ranked, settings, own)
        elif settings.regions:
            wanted, unwanted = np.stack(vectors[: 1 + len(also)]), np.stack(vectors)[1 + len(also) :]
            of_regions = approximate_regions if settings.approximate else _of_regions
            results = of_regions(store, wanted, unwanted, settings.top, own)
        elif settings.approximate:
            results = approximate_images(store, vectors[0], settings.top, own)
        else:
            results = _of_images(store, vectors[0], settings, own)
    counts = store.counts()
    told = settings.to_dict() | how
    return SearchFound(query, results, counts.images, counts.regions, told, tuple(also), tuple(without))


def vector_of(describer: Describer, part: Part) -> Floats:
    """The descriptor of a picture or a part, `(d,)`; raises as `vectors_of`."""
    return vectors_of(describer, part)[0]


def vectors_of(describer: Describer, part: Part, name: str | None = None) -> tuple[Floats, Floats]:
    """The descriptor of a picture or a part, `(d,)`, and those of its regions, `(p, d)`: itself where it has none.

    Args:
        describer: makes it.
        part: the picture, or the part.
        name: of its picture in the index, see `Describer.describe`.

    Raises:
        ImageError: when the picture cannot be read, or shows the network nothing.
        UsageError: for a box or a concept that is not there.
    """
    described = describer.describe(describer.read(part.path, part.box), name)
    vector = described.vector
    if part.concept is not None:
        if not 0 <= part.concept < len(described.parts):
            found = f"0 to {len(described.parts) - 1}" if len(described.parts) else "none"
            raise UsageError(f"--concept {part.concept}: {part.path} has the parts {found}")
        vector = described.parts[part.concept]
    if not vector.any():
        raise ImageError(part.path, "shows the network nothing that could be searched for; take another part of it")
    return vector, query_parts(vector, described.parts if part.concept is None else described.parts[:0])


def _check_width(vector: Floats, store: VectorStore) -> None:
    if len(vector) != store.identity.dimensions:
        raise StoreError(
            f"{store.where}: has vectors of {store.identity.dimensions} dimensions, and the query's has {len(vector)}"
        )


def _of_images(
    store: VectorStore, vector: Floats, settings: SearchSettings, own: OwnPicture | None
) -> tuple[SearchResult, ...]:
    if settings.rerank in EXPANSIONS:
        vector = _expanded(store, vector, settings, own)
    return tuple(
        SearchResult(place, record.path, score, record.label, None, record.id)
        for place, (record, score) in enumerate(_nearest(store, vector, settings.top, own), 1)
    )


def _expanded(store: VectorStore, vector: Floats, settings: SearchSettings, own: OwnPicture | None) -> Floats:
    """The query with its first results added."""
    found = _nearest(store, vector, settings.counted or 0, own)
    if not found:
        return vector
    near = store.vectors("images", [record.id for record, _ in found])
    places = np.arange(len(found))[None]
    if settings.rerank == "aqe":
        return np.asarray(average_expansion(vector[None], near, places)[0], np.float32)
    scores = np.asarray([[score for _, score in found]], np.float32)
    return np.asarray(alpha_expansion(vector[None], near, places, scores)[0], np.float32)


def _nearest(store: VectorStore, vector: Floats, top: int, own: OwnPicture | None) -> list[tuple[ImageRecord, float]]:
    """The images nearest to a vector, the query's own left out: as many more are asked for as it takes."""
    asked = top if own is None else top + 1
    while True:
        found = _ranked(store, vector, asked)
        kept = [(record, score) for record, score in found if own is None or not own.is_of(record)]
        if len(kept) >= top or len(found) < asked:
            return kept[:top]
        asked *= 2


def _ranked(store: VectorStore, vector: Floats, top: int) -> list[tuple[ImageRecord, float]]:
    ids = list[NDArray[np.int64]]()

    def rows() -> Iterator[NDArray[Any]]:
        for block in store.blocks("images"):
            ids.append(block.ids)
            yield block.vectors

    ranking = rank(vector[None], rows(), top)
    chosen = np.concatenate(ids)[ranking.indices[0]].tolist()
    return list(zip(store.images(chosen), ranking.scores[0].tolist(), strict=True))


def _of_ranked(
    store: VectorStore, vector: Floats, ranked: Reranked, settings: SearchSettings, own: OwnPicture | None
) -> tuple[SearchResult, ...]:
    """Images by falling score, of equals the lower id; those that were not reached follow by similarity."""
    least = 0 if settings.rerank != "rmatch" else -np.inf
    order = np.lexsort((ranked.images, -ranked.scores))
    order = order[ranked.scores[order] > least]
    kept = list[tuple[ImageRecord, float]]()
    for start in range(0, len(order), settings.top):
        some = order[start : start + settings.top]
        records = store.images(ranked.images[some].tolist())
        pairs = zip(records, ranked.scores[some].tolist(), strict=True)
        kept += [(record, score) for record, score in pairs if own is None or not own.is_of(record)]
        if len(kept) >= settings.top:
            break
    if len(kept) < settings.top and settings.rerank != "rmatch":
        there = {record.id for record, _ in kept}
        more = _nearest(store, vector, settings.top + len(kept), own)
        kept += [(record, 0.0) for record, _ in more if record.id not in there]
    return tuple(
        SearchResult(place, record.path, score, record.label, None, record.id)
        for place, (record, score) in enumerate(kept[: settings.top], 1)
    )


def _of_regions(
    store: VectorStore, wanted: Floats, unwanted: Floats, top: int, own: OwnPicture | None
) -> tuple[SearchResult, ...]:
    asked = top if own is None else top + 1
    while True:
        found = best_images(store, wanted, unwanted, asked)
        records = store.images([one.image for one in found])
        kept = [(r, one) for r, one in zip(records, found, strict=True) if own is None or not own.is_of(r)]
        if len(kept) >= top or len(found) < asked:
            break
        asked *= 2
    return tuple(
        SearchResult(place, record.path, one.score, record.label, one.box, record.id)
        for place, (record, one) in enumerate(kept[:top], 1)
    )
