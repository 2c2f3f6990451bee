"""What every reader of a retrieval set gives: pictures, queries, and which pictures each query should find."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.datasets.dataset import counted
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box

Indexes = NDArray[np.int64]
CLASSIC = "classic"  # the protocol of a set that has one


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """What one query should find under one protocol. All other pictures are wrong.

    Attributes:
        positives: indexes of the pictures to be found, ascending, none twice. Where there is none, the query is in no
            mean.
        junk: indexes of those that count neither for nor against, likewise; the query itself where it is one of the
            pictures and must not be found. No picture is in both.
    """

    positives: Indexes
    junk: Indexes


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalQuery:
    """One query.

    Attributes:
        name: no two of a set are alike.
        picture: the file; it is there, but nobody looked further than its size.
        index: its place among the pictures of the set; None where it is none of them.
        box: what of the picture is asked for, inside it (see `query_size`); None for all of it.
        relevance: by protocol.
    """

    name: str
    picture: Path
    index: int | None
    box: Box | None
    relevance: Mapping[str, Relevance]


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalSet:
    """What a reader found.

    Attributes:
        name: of the set, for the head of a table; of its folder where it is another set in the same layout.
        root: that all pictures lie below.
        images: that are searched. An index is a place in this list.
        queries: one at least.
        protocols: that each query has a `Relevance` for, such as `classic`, or `easy`, `medium` and `hard`.
        notes: sentences a user should see.
    """

    name: str
    root: Path
    images: tuple[Path, ...]
    queries: tuple[RetrievalQuery, ...]
    protocols: tuple[str, ...]
    notes: tuple[str, ...] = ()


def relevance(positives: Iterable[int], junk: Iterable[int] = ()) -> Relevance:
    """A record of two sets of indexes.

    Raises:
        DatasetError: when a picture is in both.

    >>> relevance([4, 2]).positives
    array([2, 4])
    """
    good, ignored = set(positives), set(junk)
    if both := good & ignored:
        raise DatasetError(f"picture {min(both)} is both positive and junk")
    return Relevance(np.array(sorted(good), np.int64), np.array(sorted(ignored), np.int64))


def without_images(dataset: RetrievalSet, lost: Collection[int]) -> RetrievalSet:
    """The set as if some pictures were not there: not searched, not to be found, not asked with. Others are renumbered.

    Args:
        dataset: of any kind.
        lost: indexes of pictures that cannot be read, say.

    Raises:
        UsageError: when there is no such picture.
        DatasetError: when no picture or no query is left.
    """
    if beyond := sorted(index for index in lost if not 0 <= index < len(dataset.images)):
        raise UsageError(f"{dataset.name} has {len(dataset.images)} pictures, and no picture {beyond[0]}")
    if not lost:
        return dataset
    gone = np.zeros(len(dataset.images), bool)
    gone[list(lost)] = True
    places = np.where(gone, -1, np.cumsum(~gone) - 1)
    queries = tuple(
        replace(
            query,
            index=None if query.index is None else int(places[query.index]),
            relevance={name: _moved(one, places) for name, one in query.relevance.items()},
        )
        for query in dataset.queries
        if query.index is None or not gone[query.index]
    )
    if gone.all() or not queries:
        raise DatasetError(f"{dataset.root}: no {'picture' if gone.all() else 'query'} is left to score")
    note = f"{counted(int(gone.sum()), 'picture')} left out of the set"
    if fewer := len(dataset.queries) - len(queries):
        note += f", and {counted(fewer, 'query', 'queries')}"
    images = tuple(path for path, out in zip(dataset.images, gone, strict=True) if not out)
    return replace(dataset, images=images, queries=queries, notes=(*dataset.notes, note))


def without_queries(dataset: RetrievalSet, lost: Collection[str]) -> RetrievalSet:
    """The set without some queries, by name: those whose picture is none of the set's and cannot be read.

    Raises:
        DatasetError: when none is left.
    """
    kept = tuple(query for query in dataset.queries if query.name not in lost)
    if not kept:
        raise DatasetError(f"{dataset.root}: no query is left to score")
    if len(kept) == len(dataset.queries):
        return dataset
    note = f"{counted(len(dataset.queries) - len(kept), 'query', 'queries')} left out"
    return replace(dataset, queries=kept, notes=(*dataset.notes, note))


def _moved(one: Relevance, places: Indexes) -> Relevance:
    """Under new numbers, -1 for what is gone."""
    moved = [places[indexes] for indexes in (one.positives, one.junk)]
    return Relevance(*(indexes[indexes >= 0].astype(np.int64) for indexes in moved))
