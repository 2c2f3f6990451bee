"""Rows of an evaluation's table: each figure measured or published, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dff_onnx.datasets import CLASSES
from dff_onnx.evaluation.published import CORLOC_VOC_2007, VOC_2007, PublishedRow
from dff_onnx.evaluation.scores import Figures, ImageScore, Metric, sample
from dff_onnx.metrics import Interval, bootstrap_interval, mean_of_ratios, paired_permutation

Source = Literal["measured", "published"]


@dataclass(frozen=True, slots=True)
class Row:
    """One system, or one published method.

    Attributes:
        name: of it.
        source: where the figures come from.
        figures: 0..1, one for each group; None where there is none.
        mean: over the groups that have one; nan where none has, and of a published row beside fewer classes than it is
            over.
        interval: of the mean, over images drawn inside their groups; None for published rows.
        p: of the difference to the first row, by exchanging images' results; None for that row and published ones.
        halves: means over the groups at odd (1st, 3rd, ...) and at even places of the sorted list.
        origin: of published figures.
    """

    name: str
    source: Source
    figures: tuple[float | None, ...]
    mean: float
    interval: Interval | None = None
    p: float | None = None
    halves: tuple[float, float] | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One metric.

    Attributes:
        metric: which.
        groups: the columns, or rows, of the table.
        images: pictures that count, in each group.
        rows: measured ones first.
    """

    metric: Metric
    groups: tuple[str, ...]
    images: tuple[int, ...]
    rows: tuple[Row, ...]


def tables(figures: Figures) -> tuple[Table, ...]:
    """A table for each metric of an evaluation; published rows where the data set is theirs."""
    return tuple(_table(figures, metric) for metric in figures.metrics)


def _table(figures: Figures, metric: Metric) -> Table:
    each = [figures.of(system.name) for system in figures.systems]
    first = sample(each[0], metric).groups
    rows = [_measured(figures, metric, index, each) for index in range(len(each))]
    if metric == "corloc" and figures.dataset == VOC_2007:
        rows += [_published(row, figures.groups) for row in CORLOC_VOC_2007]
    return Table(metric, figures.groups, tuple(first.count(group) for group in figures.groups), tuple(rows))


def _measured(figures: Figures, metric: Metric, index: int, each: Sequence[Sequence[ImageScore]]) -> Row:
    by_group = group_figures(each[index], metric, figures.groups)
    interval = interval_of(each[index], metric)
    return Row(
        name=figures.systems[index].name,
        source="measured",
        figures=by_group,
        mean=mean_of(by_group),
        interval=interval,
        p=p_value(each[index], each[0], metric) if index else None,
        halves=_halves(figures.groups, by_group),
    )


def _published(row: PublishedRow, groups: Sequence[str]) -> Row:
    figures = tuple(row.figures[CLASSES.index(group)] / 100 for group in groups)
    mean = round(row.mean / 100, 4) if set(groups) == set(CLASSES) else math.nan  # it is over all of them
    return Row(row.name, "published", figures, mean, origin=row.source)


def group_figures(scores: Sequence[ImageScore], metric: Metric, groups: Sequence[str]) -> tuple[float | None, ...]:
    """The figure of each group: sums divided once; None where nothing counts."""
    return tuple(_figure([score for score in scores if score.group == group], metric) for group in groups)


def _figure(scores: Sequence[ImageScore], metric: Metric) -> float | None:
    mine = sample(scores, metric)
    return mean_of_ratios(mine.above, mine.below, mine.groups) if sum(mine.below) else None


def interval_of(scores: Sequence[ImageScore], metric: Metric) -> Interval | None:
    """95 % of the mean over groups; None where nothing counts."""
    mine = sample(scores, metric)
    return bootstrap_interval(mine.above, mine.below, mine.groups) if sum(mine.below) else None


def p_value(one: Sequence[ImageScore], other: Sequence[ImageScore], metric: Metric) -> float:
    """Of the difference of two systems on the same pictures in the same order; nan where nothing counts."""
    a, b = sample(one, metric), sample(other, metric)
    if not (sum(a.below) and sum(b.below)):
        return math.nan
    return paired_permutation(a.above, a.below, b.above, b.below, a.groups)


def mean_of(figures: Sequence[float | None]) -> float:
    """Over those that are there; nan where none is."""
    there = [figure for figure in figures if figure is not None]
    return math.fsum(there) / len(there) if there else math.nan


def _halves(groups: Sequence[str], figures: Sequence[float | None]) -> tuple[float, float]:
    ordered = [figure for _, figure in sorted(zip(groups, figures, strict=True), key=lambda pair: pair[0])]
    return mean_of(ordered[::2]), mean_of(ordered[1::2])
