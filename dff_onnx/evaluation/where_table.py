"""Tables of where queries are told to be: mean IoU and CorLoc of each way, with intervals over queries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.markdown import table_line
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.stored import identity, to_json
from dff_onnx.evaluation.text import p_text
from dff_onnx.evaluation.where import ASKED, CENTRE, WhereFigures, WherePlan, WhereScore, settings_of
from dff_onnx.metrics import Interval, bootstrap_interval, paired_permutation
from dff_onnx.report.evaluation_plot import Bar, BarRow, bars_svg
from dff_onnx.report.names import cell, fitted, shown
from dff_onnx.runs.descriptors import Describer
from dff_onnx.runs.machine import versions

BOUND = 0.5  # an overlap above it is a hit
TITLES = {"box": "asked for by the object's box", "whole": "asked for by the whole picture"}


@dataclass(frozen=True, slots=True)
class WhereRow:
    """One way.

    Attributes:
        way: its name.
        queries, matches: how many count.
        iou: mean over groups of the mean over their matches.
        corloc: the same of those above 0.5.
        p_iou, p_corloc: how often chance alone sets it as far apart from the centre box; None for that itself.
    """

    way: str
    queries: int
    matches: int
    iou: Interval
    corloc: Interval
    p_iou: float | None
    p_corloc: float | None


def where_rows(figures: WhereFigures, asked: str, groups: Collection[str] | None = None) -> tuple[WhereRow, ...]:
    """A row for each way; queries are what is drawn, so that matches of one query stay together.

    Args:
        figures: of the evaluation.
        asked: `box` or `whole`.
        groups: those that count; None for all.
    """
    there = [one for one in figures.scores if one.asked == asked and (groups is None or one.group in groups)]
    by_way = {way: [one for one in there if one.way == way] for way in dict.fromkeys(one.way for one in there)}
    return tuple(_row(way, scores, by_way.get(CENTRE, [])) for way, scores in by_way.items())


def _row(way: str, scores: Sequence[WhereScore], other: Sequence[WhereScore]) -> WhereRow:
    groups, counts = [one.group for one in scores], [len(one.ious) for one in scores]
    figures = {"iou": _sums(scores, False), "corloc": _sums(scores, True)}
    intervals = {name: bootstrap_interval(values, counts, groups) for name, values in figures.items()}
    p = {
        name: None if way == CENTRE else paired_permutation(_sums(other, hits), counts, figures[name], counts, groups)
        for name, hits in (("iou", False), ("corloc", True))
    }
    return WhereRow(way, len(scores), sum(counts), intervals["iou"], intervals["corloc"], p["iou"], p["corloc"])


def _sums(scores: Sequence[WhereScore], hits: bool) -> list[float]:
    """Of each query's matches: overlaps, or how many are above the bound."""
    return [float(sum(value > BOUND for value in one.ious) if hits else sum(one.ious)) for one in scores]


def where_text(figures: WhereFigures) -> str:
    """For a terminal of 80 columns."""
    lines = [f"{figures.dataset}: {counted(figures.pictures, 'picture')} searched, device {figures.device}"]
    for asked in ASKED:
        rows = where_rows(figures, asked)
        if not rows:
            continue
        queries, matches = counted(rows[0].queries, "query", "queries"), counted(rows[0].matches, "match", "matches")
        lines += ["", f"{TITLES[asked]}: {queries}, {matches} of the first {figures.settings['top']}"]
        lines.append(f"{'':<22}{'mean IoU':<28}CorLoc")
        lines += [
            f"{fitted(row.way, 21)} {_cell(row.iou, row.p_iou):<28}{_cell(row.corloc, row.p_corloc):<28}".rstrip()
            for row in rows
        ]
    return "\n".join([*lines, "", f"means over groups, 95 % intervals over queries, p against the {CENTRE}"])


def where_markdown(figures: WhereFigures) -> str:
    """The same as a page."""
    lines = [
        f"# {cell(figures.dataset)}: where queries are",
        "",
        f"{counted(figures.pictures, 'picture')} searched, {len(figures.failures)} could not be used; device "
        f"{figures.device}. Means over groups with 95 % intervals over queries; p against the {CENTRE}.",
    ]
    for asked in ASKED:
        rows = where_rows(figures, asked)
        lines += ["", f"## {TITLES[asked].capitalize()}", ""]
        lines += [table_line(["way", "queries", "matches", "mean IoU", "p", "CorLoc", "p"]), "|---|" + "--:|" * 6]
        for row in rows:
            counts = [str(row.queries), str(row.matches)]
            told = [_mean(row.iou), _p(row.p_iou), _mean(row.corloc), _p(row.p_corloc)]
            lines.append(table_line([cell(row.way), *counts, *told]))
    return "\n".join([*lines, "", *(f"- {cell(note)}" for note in figures.notes), ""])


def where_plot(figures: WhereFigures) -> str:
    """The mean IoU of each way as bars, one for each manner of asking."""
    each = [{row.way: _bar(row.iou) for row in where_rows(figures, asked)} for asked in ASKED]
    ways = dict.fromkeys(way for bars in each for way in bars)
    rows = [BarRow(way, tuple(bars.get(way) for bars in each)) for way in ways]
    return bars_svg(rows, [TITLES[asked] for asked in ASKED], figures.dataset, "mean IoU")


def where_identity(opened: Opened, describer: Describer, plan: WherePlan) -> dict[str, Any]:
    """What two evaluations into one folder must share."""
    fingerprint = describer.activations.fingerprint.to_dict()
    return _identity(shown(opened.dataset.name), fingerprint, settings_of(describer.settings, plan))


def _identity(dataset: str, fingerprint: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    used = {"name": "where", "title": "joint factorization of a query and its results", "settings": settings}
    return identity("where", dataset, fingerprint, [used])


def where_json(figures: WhereFigures) -> str:
    """`figures.json`: the tables, and of each query the overlaps that they are made of."""
    fields = _identity(figures.dataset, figures.fingerprint, figures.settings) | {
        "device": figures.device,
        "versions": versions(),
        "pictures": figures.pictures,
        "tables": [{"asked": asked, "rows": [asdict(row) for row in where_rows(figures, asked)]} for asked in ASKED],
        "queries": [asdict(score) for score in figures.scores],
        "failures": [asdict(failure) for failure in figures.failures],
        "notes": list(figures.notes),
    }
    return to_json(fields)


def _cell(one: Interval, p: float | None) -> str:
    told = "" if p is None else f" {p_text(p)}"
    return f"{_mean(one)}{told}"


def _mean(one: Interval) -> str:
    return f"{one.estimate:.3f} ({one.low:.3f}-{one.high:.3f})"


def _p(p: float | None) -> str:
    return "-" if p is None else p_text(p)


def _bar(one: Interval) -> Bar:
    return Bar(one.estimate, one.low, one.high)
