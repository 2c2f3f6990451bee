"""Rows of a retrieval table: each mean average precision measured or published, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dff_onnx.evaluation.published_retrieval import published_retrieval
from dff_onnx.evaluation.retrieval_scores import (
    FIRST,
    PairedDifference,
    QueryScore,
    RetrievalFigures,
    paired_difference,
)
from dff_onnx.evaluation.table import Source
from dff_onnx.metrics import Interval, mean_over_queries


@dataclass(frozen=True, slots=True)
class RetrievalRow:
    """One system, or one published method.

    Attributes:
        name: of it.
        source: where the figures come from.
        mean: average precision, 0..1, mean over the queries that count; nan where none does.
        interval: of the mean, over queries drawn with replacement; None for published rows.
        precisions: mean precision among the first 1, 5 and 10 places; None where nobody says.
        difference: to the first row; None for that row and published ones.
        origin: of published figures.
    """

    name: str
    source: Source
    mean: float
    interval: Interval | None = None
    precisions: tuple[float | None, ...] = (None,) * len(FIRST)
    difference: PairedDifference | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Contest:
    """The best DFF descriptor against the best of the others. Who is the best is told by the same queries.

    Attributes:
        ours, others: names of the systems.
        difference: ours minus the others'.
    """

    ours: str
    others: str
    difference: PairedDifference


@dataclass(frozen=True, slots=True)
class RetrievalTable:
    """One protocol.

    Attributes:
        protocol: its name.
        queries: that count: those with something to find.
        rows: measured ones first.
        contest: None where no system is DFF, or all are.
    """

    protocol: str
    queries: int
    rows: tuple[RetrievalRow, ...]
    contest: Contest | None = None


def retrieval_tables(figures: RetrievalFigures) -> tuple[RetrievalTable, ...]:
    """A table for each protocol; published rows where the data set and the protocol are theirs."""
    return tuple(_table(figures, protocol) for protocol in figures.protocols)


def _table(figures: RetrievalFigures, protocol: str) -> RetrievalTable:
    each = [figures.of(system.name, protocol) for system in figures.systems]
    rows = [_measured(system.name, own, each[0]) for system, own in zip(figures.systems, each, strict=True)]
    for row in published_retrieval(figures.dataset, protocol):
        mean = round(row.figures[figures.dataset, protocol] / 100, 4)
        rows.append(RetrievalRow(row.name, "published", mean, origin=row.origin))
    queries = sum(one.ap is not None for one in each[0]) if each else 0
    return RetrievalTable(protocol, queries, tuple(rows), _contest(figures, protocol))


def _contest(figures: RetrievalFigures, protocol: str) -> Contest | None:
    ours = [system.name for system in figures.systems if system.settings.get("kind") == "dff"]
    others = [system.name for system in figures.systems if system.name not in ours]
    if not ours or not others:
        return None
    best, against = (max(names, key=lambda name: _mean(figures.of(name, protocol))) for names in (ours, others))
    difference = paired_difference(figures.of(against, protocol), figures.of(best, protocol))
    return None if difference is None else Contest(best, against, difference)


def _mean(scores: Sequence[QueryScore]) -> float:
    """Of queries that count, the same ones for all systems; where none does, all are alike."""
    return sum(one.ap or 0.0 for one in scores)


def _measured(name: str, own: Sequence[QueryScore], first: Sequence[QueryScore]) -> RetrievalRow:
    interval = mean_over_queries([one.ap for one in own])
    return RetrievalRow(
        name=name,
        source="measured",
        mean=interval.estimate,
        interval=interval,
        precisions=tuple(
            mean_over_queries([one.precisions[at] for one in own], samples=1).estimate for at in range(len(FIRST))
        ),
        difference=None if own is first else paired_difference(first, own),
    )
