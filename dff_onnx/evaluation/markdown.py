"""`table.md`, and the bars of `plot.svg`."""

from __future__ import annotations

from collections.abc import Sequence

from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.scores import TITLES, Figures, GroupClass
from dff_onnx.evaluation.table import Row, Table
from dff_onnx.evaluation.text import interval, number, p_text
from dff_onnx.report.evaluation_plot import Bar, BarRow, bars_svg
from dff_onnx.report.names import cell

# Of the published rows, those that are drawn beside ours.
DRAWN = ("DFF", "DFF-CRF")


def markdown(figures: Figures, made: Sequence[Table]) -> str:
    """An evaluation as a page of Markdown: for each metric the systems, then the groups."""
    layer, model = figures.fingerprint["layer"], figures.fingerprint["model_sha256"][:12]
    lines = [
        f"# {cell(figures.dataset)}",
        "",
        f"{counted(len(figures.groups), 'group')}, {counted(figures.pictures, 'picture')} scored, "
        f"{len(figures.failures)} could not be used. "
        f"Layer {cell(layer)} of model {model}, device {figures.device}.",
    ]
    for table in made:
        lines += ["", f"## {TITLES[table.metric]}", "", *_systems(table), "", *_groups(table)]
    for names, classes in figures.class_tables.items():
        lines += ["", f"## Class that most pictures of a group show ({', '.join(map(cell, names))})", ""]
        lines += _classes(classes)
    titles = [f"- {one.name}: {one.title}" for one in figures.systems]
    return "\n".join([*lines, "", *titles, *(f"- {cell(note)}" for note in figures.notes), ""])


def _systems(table: Table) -> list[str]:
    lines = [
        "| system | source | mean | 95 % interval | p against the first | 1st, 3rd, ... group | 2nd, 4th, ... group |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.rows:
        halves = [number(half) for half in row.halves] if row.halves else ["-", "-"]
        p = "-" if row.p is None else p_text(row.p)
        lines.append(table_line([cell(row.name), row.source, number(row.mean), interval(row), p, *halves]))
    origins = sorted({row.origin for row in table.rows if row.origin})
    return [*lines, *(line for origin in origins for line in ("", f"Published: {origin}."))]


def _groups(table: Table) -> list[str]:
    lines = [
        table_line(["group", "images", *(f"{cell(row.name)} ({row.source})" for row in table.rows)]),
        "|---|--:|" + "--:|" * len(table.rows),
    ]
    for index, group in enumerate(table.groups):
        figures = [number(row.figures[index]) for row in table.rows]
        lines.append(table_line([cell(group), str(table.images[index]), *figures]))
    return lines


def _classes(classes: Sequence[GroupClass]) -> list[str]:
    lines = ["| group | class | name | votes | mean probability |", "|---|--:|---|--:|--:|"]
    for one in classes:
        votes, probability = f"{one.votes} of {one.pictures}", number(one.probability)
        lines.append(table_line([cell(one.group), str(one.number), cell(one.name), votes, probability]))
    return lines


def table_line(cells: Sequence[str]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def bars(figures: Figures, table: Table) -> str:
    """The first metric as bars, group by group and on average."""
    drawn = [row for row in table.rows if row.source == "measured" or row.name in DRAWN]
    rows = [BarRow("mean over groups", tuple(_mean(row) for row in drawn))]
    for index, group in enumerate(table.groups):
        rows.append(BarRow(group, tuple(_bar(row.figures[index]) for row in drawn)))
    names = [row.name if row.source == "measured" else f"{row.name} ({row.source})" for row in drawn]
    return bars_svg(rows, names, figures.dataset, TITLES[table.metric])


def _bar(figure: float | None) -> Bar | None:
    return None if figure is None else Bar(figure)


def _mean(row: Row) -> Bar:
    return Bar(row.mean, row.interval.low, row.interval.high) if row.interval else Bar(row.mean)
