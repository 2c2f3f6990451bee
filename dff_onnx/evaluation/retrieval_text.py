"""Figures of retrieval for a terminal of 80 columns, as Markdown and as bars."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.markdown import table_line
from dff_onnx.evaluation.retrieval_scores import FIRST, RetrievalFigures
from dff_onnx.evaluation.retrieval_table import Contest, RetrievalRow, RetrievalTable
from dff_onnx.evaluation.text import WIDTH, p_text, per_cent
from dff_onnx.metrics import Interval
from dff_onnx.report.evaluation_plot import Bar, BarRow, bars_svg
from dff_onnx.report.names import cell, fitted

METHOD, SOURCE, COLUMN = 28, 12, 9
COLUMNS = ("mAP", *(f"mP@{first}" for first in FIRST))


def retrieval_terminal(figures: RetrievalFigures, made: Sequence[RetrievalTable]) -> str:
    """An evaluation with its tables, ready to be printed."""
    lines = [_head(figures), f"device {figures.device}; in per cent"]
    for table in made:
        title = f"{table.protocol}, {counted(table.queries, 'query', 'queries')}"
        lines += ["", fitted(title, METHOD + SOURCE) + "".join(f"{name:>{COLUMN}}" for name in COLUMNS)]
        for row in table.rows:
            cells = "".join(f"{one:>{COLUMN}}" for one in _cells(row))
            lines.append(fitted(row.name, METHOD) + fitted(row.source, SOURCE) + cells)
        lines.append("mAP, 95 % interval over queries:")
        lines += [line for row in table.rows for line in _told(row, table.rows[0].name)]
        if table.contest:
            lines += wrap(_contested(table.contest), WIDTH, subsequent_indent="  ")
    origins = sorted({row.origin for table in made for row in table.rows if row.origin})
    return "\n".join([*lines, *([""] if origins else []), *(f"published: {origin}" for origin in origins)])


def retrieval_markdown(figures: RetrievalFigures, made: Sequence[RetrievalTable]) -> str:
    """The same as a page of Markdown."""
    lines = [f"# {cell(figures.dataset)}: retrieval", "", f"{cell(_head(figures))}. {_made_by(figures)}"]
    for table in made:
        lines += ["", f"## {cell(table.protocol)}, {counted(table.queries, 'query', 'queries')}", ""]
        heads = ["system", "source", *COLUMNS, "95 % interval of mAP", "against the first", "p"]
        lines += [table_line(heads), "|---|---|" + "--:|" * (len(heads) - 2)]
        for row in table.rows:
            apart = row.difference
            compared = (
                [f"{_signed(apart.interval)} ({_bounds(apart.interval)})", p_text(apart.p)] if apart else ["-", "-"]
            )
            bounds = _bounds(row.interval) if row.interval else "-"
            lines.append(table_line([cell(row.name), row.source, *_cells(row), bounds, *compared]))
        if table.contest:
            lines += ["", cell(_contested(table.contest)) + "."]
    origins = sorted({row.origin for table in made for row in table.rows if row.origin})
    lines += [line for origin in origins for line in ("", f"Published: {origin}.")]
    titles = [f"- {cell(one.name)}: {cell(one.title)}" for one in figures.systems]
    return "\n".join([*lines, "", *titles, *(f"- {cell(note)}" for note in figures.notes), ""])


def retrieval_plot(figures: RetrievalFigures, made: Sequence[RetrievalTable]) -> str:
    """The mean average precision of each measured system as bars, a group for each protocol."""
    names = [system.name for system in figures.systems]
    rows = []
    for table in made:
        intervals = [row.interval for row in table.rows if row.interval]
        rows.append(BarRow(table.protocol, tuple(_bar(one) for one in intervals)))
    return bars_svg(rows, names, figures.dataset, "mean average precision")


def _head(figures: RetrievalFigures) -> str:
    queries = len(dict.fromkeys(one.query for one in figures.scores))
    told = f"{figures.dataset}: {counted(queries, 'query', 'queries')}, {counted(figures.images, 'picture')}"
    return f"{told}, {len(figures.failures)} could not be used" if figures.failures else told


def _made_by(figures: RetrievalFigures) -> str:
    """Of which network, where one ran."""
    if figures.fingerprint is None:
        return f"Device {figures.device}; in per cent."
    layer, model = figures.fingerprint["layer"], figures.fingerprint["model_sha256"][:12]
    return f"Layer {cell(layer)} of model {model}, device {figures.device}; in per cent."


def _cells(row: RetrievalRow) -> list[str]:
    """Published figures with the digit that they have."""
    digits = 2 if row.source == "measured" else 1
    return [per_cent(one, digits) for one in (row.mean, *row.precisions)]


def _told(row: RetrievalRow, first: str) -> list[str]:
    """The interval of a measured row, and how far it is from the first."""
    if row.interval is None:
        return []
    lines = [f"  {fitted(row.name, METHOD - 2)}{per_cent(row.mean, 2)} ({_bounds(row.interval)})"]
    if apart := row.difference:
        said = f"{_signed(apart.interval)} ({_bounds(apart.interval)}), p {p_text(apart.p)}, against {first}"
        lines.append(fitted(f"  {'':<{METHOD - 2}}{said}", WIDTH).rstrip())
    return lines


def _contested(one: Contest) -> str:
    apart = one.difference
    return (
        f"the best of DFF ({one.ours}) against the best of the others ({one.others}): {_signed(apart.interval)} "
        f"({_bounds(apart.interval)}), p {p_text(apart.p)}"
    )


def _bounds(interval: Interval) -> str:
    return f"{per_cent(interval.low, 2)} to {per_cent(interval.high, 2)}"


def _signed(interval: Interval) -> str:
    return f"{100 * interval.estimate:+.2f}"


def _bar(interval: Interval) -> Bar | None:
    """None where no query counts."""
    there = interval.estimate == interval.estimate
    return Bar(interval.estimate, interval.low, interval.high) if there else None
