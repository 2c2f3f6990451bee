"""ILSVRC's errors for a terminal of 80 columns, as Markdown, JSON and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.ilsvrc import FIRST, TASKS, IlsvrcFigures
from dff_onnx.evaluation.markdown import table_line
from dff_onnx.evaluation.published_cam import PICTURES, TEST, VALIDATION, PublishedErrors
from dff_onnx.evaluation.stored import to_json
from dff_onnx.evaluation.table import Source
from dff_onnx.evaluation.text import per_cent
from dff_onnx.files import printable
from dff_onnx.metrics import Interval
from dff_onnx.report.evaluation_plot import Bar, BarRow, bars_svg
from dff_onnx.report.names import cell, fitted, shown
from dff_onnx.runs.machine import versions

METHOD, SOURCE, COLUMN = 26, 12, 9
COLUMNS = tuple(f"{task} top-{first}" for task in TASKS for first in FIRST)
# Of the published rows, those that are drawn beside ours.
DRAWN = ("GoogLeNet-GAP", "VGGnet-GAP", "AlexNet-GAP")
FOOT = (
    "published: the CAM paper's slides; which network a localization error belongs",
    "to, and the row of Grad-CAM, are recalled from the papers",
)
ON_TEST = "the test set (not public), localization top-5"


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the table: shares 0..1 in the order of `COLUMNS`, shown in per cent with as many digits as known."""

    name: str
    source: Source
    figures: tuple[float | None, ...]
    origin: str = ""
    digits: tuple[int, ...] = (2, 2, 2, 2)


def ilsvrc_terminal(figures: IlsvrcFigures) -> str:
    """An evaluation, ready to be printed."""
    lines = [f"{figures.opened.dataset.name}: {_scored(figures)}", "", "error in per cent"]
    lines += [" " * (METHOD + SOURCE) + f"{'classification':>{2 * COLUMN}}{'localization':>{2 * COLUMN}}"]
    lines += [" " * (METHOD + SOURCE) + "".join(f"{f'top-{n}':>{COLUMN}}" for _ in TASKS for n in FIRST)]
    lines += [_line(row) for row in (_measured(figures), *map(_published, VALIDATION))]
    lines += ["", ON_TEST, *(_line(_published(row)) for row in TEST)]
    lines += ["", "measured, with 95 % intervals over pictures:"]
    lines += [f"  {name:<22} {_with_interval(one)}" for name, one in zip(COLUMNS, _intervals(figures), strict=True)]
    return "\n".join([*lines, "", *FOOT, *_of_fewer(figures)])


def ilsvrc_markdown(figures: IlsvrcFigures) -> str:
    """The same as a page of Markdown."""
    lines = [f"# {cell(figures.opened.dataset.name)}", "", f"{_scored(figures)}. {cell(_name(figures))}.", ""]
    lines += [table_line(["", "source", *(f"{name} error" for name in COLUMNS)]), "|---|---|" + "--:|" * len(COLUMNS)]
    for row in (_measured(figures), *map(_published, VALIDATION)):
        lines.append(table_line([cell(row.name), row.source, *_cells(row)]))
    lines += ["", f"On {ON_TEST} error:", "", table_line(["", "source", COLUMNS[-1]]), "|---|---|--:|"]
    lines += [table_line([cell(row.name), row.source, _cells(row)[-1]]) for row in map(_published, TEST)]
    lines += ["", table_line(["measured", "error", "95 % interval"]), "|---|--:|--:|"]
    for name, one in zip(COLUMNS, _intervals(figures), strict=True):
        lines.append(table_line([name, per_cent(one.estimate, 2), _bounds(one)]))
    origins = sorted({row.source for row in (*VALIDATION, *TEST)})
    lines += [line for origin in origins for line in ("", f"Published: {origin}.")]
    lines += [line for told in _of_fewer(figures) for line in ("", f"{told}.")]
    return "\n".join([*lines, "", *(f"- {cell(note)}" for note in figures.notes), ""])


def ilsvrc_json(figures: IlsvrcFigures) -> str:
    """`figures.json`: the table, and of each picture the errors that it is made of."""
    rows = [_measured(figures), *map(_published, VALIDATION)]
    fields: dict[str, Any] = figures.opened.identity() | {
        "versions": versions(),
        "notes": list(figures.notes),
        "missing": [shown(name) for name in figures.missing],
        "unknown": [shown(name) for name in figures.unknown],
        "columns": list(COLUMNS),
        "rows": [_row_fields(row) for row in rows],
        "test": [_row_fields(_published(row)) for row in TEST],
        "intervals": [[one.low, one.high] for one in _intervals(figures)],
        "images": [
            {"path": shown(score.name), **{task: list(score.errors[task]) for task in TASKS}}
            for score in figures.scores
        ],
    }
    return to_json(fields)


def ilsvrc_plot(figures: IlsvrcFigures) -> str:
    """The errors as bars, beside some published ones."""
    drawn = [_published(row) for row in VALIDATION if row.name in DRAWN]
    rows = []
    for at, (name, one) in enumerate(zip(COLUMNS, _intervals(figures), strict=True)):
        theirs = [None if figure is None else Bar(figure) for figure in (row.figures[at] for row in drawn)]
        ours = Bar(one.estimate, one.low, one.high) if one.estimate == one.estimate else None  # nan where none counts
        rows.append(BarRow(name, (ours, *theirs)))
    names = [_name(figures), *(f"{row.name} ({row.source})" for row in drawn)]
    return bars_svg(rows, names, figures.opened.dataset.name, "error: share of pictures")


def _name(figures: IlsvrcFigures) -> str:
    """Of the run, or of the file."""
    path = figures.opened.predictions.path
    return shown(printable(path.parent if path.name == "predictions.csv" else path).rpartition("/")[2] or "predictions")


def _scored(figures: IlsvrcFigures) -> str:
    told = f"{counted(len(figures.scores), 'picture')} scored"
    return f"{told}, {figures.blacklisted} blacklisted in localization" if figures.blacklisted else told


def _of_fewer(figures: IlsvrcFigures) -> list[str]:
    """What tells ours apart from the published errors, where it is not of the same pictures."""
    scored = len(figures.scores)
    return [] if scored == PICTURES else [f"published errors are of all {PICTURES} pictures, ours of {scored}"]


def _measured(figures: IlsvrcFigures) -> _Row:
    return _Row(_name(figures), "measured", tuple(one.estimate for one in _intervals(figures)))


def _published(row: PublishedErrors) -> _Row:
    shares = [None if figure is None else round(figure / 100, 4) for figure in (*row.classification, *row.localization)]
    digits = (1, 1, 1, 1) if row in TEST else (1, 1, 2, 2)
    return _Row(row.name, "published", tuple(shares), row.source, digits)


def _intervals(figures: IlsvrcFigures) -> list[Interval]:
    return [one for task in TASKS for one in figures.errors[task]]


def _line(row: _Row) -> str:
    return fitted(row.name, METHOD) + fitted(row.source, SOURCE) + "".join(f"{one:>{COLUMN}}" for one in _cells(row))


def _cells(row: _Row) -> Sequence[str]:
    return [per_cent(figure, digits) for figure, digits in zip(row.figures, row.digits, strict=True)]


def _with_interval(one: Interval) -> str:
    return f"{per_cent(one.estimate, 2):>6} ({_bounds(one)})"


def _bounds(one: Interval) -> str:
    return f"{per_cent(one.low, 2)} to {per_cent(one.high, 2)}"


def _row_fields(row: _Row) -> dict[str, Any]:
    return {"name": row.name, "source": row.source, "figures": list(row.figures), "origin": row.origin}
