"""Rankings against a retrieval set's ground truth: the average precision of each query, and how systems differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dff_onnx.datasets import RetrievalQuery, RetrievalSet
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.evaluation.scores import SystemUsed
from dff_onnx.metrics import (
    Interval,
    average_precision,
    bootstrap_interval,
    paired_permutation,
    positive_ranks,
    precision_at,
    ranking_of,
)
from dff_onnx.report.found import Failure
from dff_onnx.report.names import shown

FIRST = (1, 5, 10)  # places that count in mP@k


@dataclass(frozen=True, slots=True)
class QueryScore:
    """One query under one system and one protocol.

    Attributes:
        system, protocol, query: their names.
        positives: how many there are to find. Equal in two runs on the same data.
        ap: average precision, 0..1; None where there is nothing to find.
        precisions: among the first 1, 5 and 10 places; likewise.
    """

    system: str
    protocol: str
    query: str
    positives: int
    ap: float | None
    precisions: tuple[float | None, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What it is the score of."""
        return self.protocol, self.query


@dataclass(frozen=True, slots=True)
class RetrievalFigures:
    """An evaluation of retrieval.

    Attributes:
        dataset: its name.
        images: that were searched.
        protocols: of the data set.
        systems: that were evaluated, in order.
        fingerprint: of the backbone; None where descriptors came from elsewhere.
        device: the network really ran on.
        scores: system by system, protocol by protocol, in the same order of queries.
        failures: pictures that could not be used.
        notes: sentences on what was left out.
    """

    dataset: str
    images: int
    protocols: tuple[str, ...]
    systems: tuple[SystemUsed, ...]
    fingerprint: Mapping[str, Any] | None
    device: str
    scores: tuple[QueryScore, ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, system: str, protocol: str) -> list[QueryScore]:
        """The scores of one system under one protocol."""
        return [one for one in self.scores if (one.system, one.protocol) == (system, protocol)]


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How far two systems are apart on the queries that both have.

    Attributes:
        queries: that count.
        interval: of B minus A in mean average precision, over queries drawn with replacement.
        p: how often chance alone sets them as far apart.
    """

    queries: int
    interval: Interval
    p: float


def score_rankings(dataset: RetrievalSet, rankings: Iterable[ArrayLike], system: str) -> tuple[QueryScore, ...]:
    """Scores one ranking a query, in the order of the queries.

    Args:
        dataset: what should be found.
        rankings: indexes of pictures, the best first, none twice; one may end early, what it lacks was not found. Junk,
            and the query itself, need not be taken out.
        system: a name for what made them.

    Returns:
        protocol by protocol, in the order of the queries.

    Raises:
        ArrayError: when there are more or fewer rankings than queries, or one is none.

    >>> from pathlib import Path
    >>> from dff_onnx.datasets import relevance
    >>> query = RetrievalQuery("q", Path("q.jpg"), None, None, {"classic": relevance([0, 2])})
    >>> known = RetrievalSet("two", Path(), tuple(map(Path, "abc")), (query,), ("classic",))
    >>> score_rankings(known, [[1, 2, 0]], "mine")[0].precisions
    (0.0, 0.6666666666666666, 0.6666666666666666)
    """
    found: dict[str, list[QueryScore]] = {protocol: [] for protocol in dataset.protocols}
    for query, ranking in _paired(dataset.queries, rankings):
        order = _order(ranking, len(dataset.images), query.name)
        for protocol, scores in found.items():
            scores.append(_score(query, order, protocol, system))
    return tuple(score for scores in found.values() for score in scores)


def score_similarities(dataset: RetrievalSet, similarities: Iterable[ArrayLike], system: str) -> tuple[QueryScore, ...]:
    """The same for similarities: of each query a row with a number for each picture, higher is more alike.

    Of equal similarities the picture of the lower index is ranked first.

    Args:
        dataset: what should be found.
        similarities: `(queries, images)`, or its rows one after the other.
        system: a name for what made them.

    Raises:
        ArrayError: when rows are too many, too few or of another length, or a number is nan.
    """
    return score_rankings(dataset, (_ranked(row, len(dataset.images)) for row in similarities), system)


def paired_difference(a: Sequence[QueryScore], b: Sequence[QueryScore]) -> PairedDifference | None:
    """B against A, query by query, on those that both have and that have something to find.

    Args:
        a, b: of one system and one protocol each.

    Returns:
        None where no query is in both.

    Raises:
        UsageError: when a query is there twice, or has another number of positives in the other: other data.
    """
    mine, theirs = _by_key(a), _by_key(b)
    both = [(mine[key], theirs[key]) for key in mine if key in theirs]
    for one, other in both:
        if one.positives != other.positives:
            raise UsageError(
                f"{one.query} has {one.positives} pictures to find in one and {other.positives} in the other; two runs "
                "on one data set are needed"
            )
    pairs = [(one.ap, other.ap) for one, other in both if one.ap is not None and other.ap is not None]
    if not pairs:
        return None
    first, second = np.array(pairs).T
    ones, group = np.ones(len(pairs)), np.zeros(len(pairs))
    interval = bootstrap_interval(second - first, ones, group)
    return PairedDifference(len(pairs), interval, paired_permutation(first, ones, second, ones, group))


def _by_key(scores: Sequence[QueryScore]) -> dict[tuple[str, str], QueryScore]:
    found = {score.key: score for score in scores}
    if len(found) != len(scores):
        raise UsageError("a query is there twice; give the scores of one system")
    return found


def _paired(
    queries: Sequence[RetrievalQuery], rankings: Iterable[ArrayLike]
) -> Iterator[tuple[RetrievalQuery, ArrayLike]]:
    rows = iter(rankings)
    for number, query in enumerate(queries):
        try:
            yield query, next(rows)
        except StopIteration:
            raise ArrayError(f"{number} rankings are given of {len(queries)} queries; one of each is needed") from None
    if next(rows, None) is not None:
        raise ArrayError(f"more rankings are given than the {len(queries)} queries that there are")


def _order(ranking: ArrayLike, images: int, query: str) -> NDArray[Any]:
    order = np.asarray(ranking)
    if order.size and order.dtype.kind in "iu" and int(order.max()) >= images:
        raise ArrayError(f"the ranking of {shown(query)} has picture {order.max()}, and there are {images}")
    return order


def _ranked(row: ArrayLike, images: int) -> NDArray[np.int64]:
    order = ranking_of(row)
    if len(order) != images:
        raise ArrayError(f"a row has {len(order)} similarities, and there are {images} pictures")
    return order


def _score(query: RetrievalQuery, order: NDArray[Any], protocol: str, system: str) -> QueryScore:
    known = query.relevance[protocol]
    count = len(known.positives)
    ranks = positive_ranks(order, known.positives, known.junk)
    if not count:
        return QueryScore(system, protocol, shown(query.name), 0, None, (None,) * len(FIRST))
    precisions = tuple(precision_at(ranks, count, first) for first in FIRST)
    return QueryScore(system, protocol, shown(query.name), count, average_precision(ranks, count), precisions)
