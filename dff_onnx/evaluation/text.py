"""Tables of an evaluation for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dff_onnx.datasets import CLASSES
from dff_onnx.datasets.dataset import counted
from dff_onnx.evaluation.published import ABBREVIATIONS
from dff_onnx.evaluation.scores import TITLES, Figures, GroupClass
from dff_onnx.evaluation.table import Row, Table
from dff_onnx.report.names import fitted

WIDTH = 80
COLUMN = 11  # of one system, at least: `foreground` and a space
SYSTEMS = 5  # beside each other
CLASSES_WIDE = 10  # of the paper's table beside each other
COUNT = 7  # room for the number of pictures
METHOD, SOURCE = 15, 10
VOTED = 28  # of a group's name beside its class


def terminal(figures: Figures, made: Sequence[Table], halves: bool) -> str:
    """An evaluation, ready to be printed.

    Args:
        figures: for the head.
        made: its tables.
        halves: whether to print the means of the two halves of the groups.
    """
    lines = [
        f"{figures.dataset}: {counted(len(figures.groups), 'group')}, {counted(figures.pictures, 'picture')} scored, "
        f"device {figures.device}"
    ]
    for table in made:
        by_class = figures.kind == "corloc" and set(table.groups) <= set(CLASSES)
        lines += ["", TITLES[table.metric], *(class_lines(table) if by_class else group_lines(table))]
        lines += summary_lines(table, halves, by_class)
    for systems, classes in figures.class_tables.items():
        lines += ["", f"class that most pictures of a group show ({', '.join(systems)})", *voted_lines(classes)]
    return "\n".join(lines)


def group_lines(table: Table) -> list[str]:
    """Groups as rows, systems as columns, a few at a time."""
    lines: list[str] = []
    for start in range(0, len(table.rows), SYSTEMS):
        lines += _block(table, table.rows[start : start + SYSTEMS])
    return lines


def _block(table: Table, rows: Sequence[Row]) -> list[str]:
    heads = [row.name.partition("+") for row in rows]
    column = max(COLUMN, *(len(plus + rest) + 1 for _, plus, rest in heads))
    names = WIDTH - COUNT - column * len(rows)
    width = min(names, max(5, *map(len, table.groups)) + 1)

    def line(name: str, count: str, cells: Sequence[str]) -> str:
        return fitted(name, width) + f"{count:>{COUNT}}" + "".join(f"{one:>{column}}" for one in cells)

    lines = [line("group", "images", [first for first, _, _ in heads])]
    if any(plus for _, plus, _ in heads):
        lines.append(line("", "", [plus + rest for _, plus, rest in heads]))
    lines.append(line("", "", [row.source for row in rows]))
    for index, group in enumerate(table.groups):
        lines.append(line(group, str(table.images[index]), [number(row.figures[index]) for row in rows]))
    return [*lines, line("mean", str(sum(table.images)), [number(row.mean) for row in rows])]


def voted_lines(classes: Sequence[GroupClass]) -> list[str]:
    """Groups as rows: how many pictures voted for the class, how probable it is in all of them, and which it is."""
    width = min(VOTED, max(5, *(len(one.group) for one in classes)) + 1)
    lines = [fitted("group", width) + f"{'votes':>11}{'mean prob.':>12}  class"]
    for one in classes:
        votes = f"{one.votes} of {one.pictures}"
        said = f"{votes:>11}{number(one.probability):>12}  "
        lines.append(fitted(one.group, width) + said + fitted(f"{one.number} {one.name}", WIDTH - width - len(said)))
    return [line.rstrip() for line in lines]


def class_lines(table: Table) -> list[str]:
    """The paper's layout: methods as rows, VOC's classes as columns, in per cent; wrapped."""
    lines: list[str] = []
    for start in range(0, len(table.groups), CLASSES_WIDE):
        groups = table.groups[start : start + CLASSES_WIDE]
        last = start + CLASSES_WIDE >= len(table.groups)
        head = "".join(f"{ABBREVIATIONS[group]:>5}" for group in groups) + ("   mean" if last else "")
        lines += [f"{'':<{METHOD + SOURCE - 2}}{head}"]
        for row in table.rows:
            cells = "".join(f"{per_cent(one, 0):>5}" for one in row.figures[start : start + len(groups)])
            mean = f"{per_cent(row.mean, 2):>7}" if last else ""
            lines.append(fitted(row.name, METHOD - 2) + fitted(row.source, SOURCE) + cells + mean)
    return lines


def summary_lines(table: Table, halves: bool, in_per_cent: bool = False) -> list[str]:
    """Of each measured system: mean, interval, how likely chance is, the halves; in the unit of the table above."""
    form = _two_digits if in_per_cent else number
    first = table.rows[0].name
    lines = ["mean over groups, 95 % interval over images" + (", in per cent:" if in_per_cent else ":")]
    for row in table.rows:
        if row.source == "measured":
            said = [f"{form(row.mean)} ({interval(row, form)})"]
            if row.p is not None:
                said.append(f"p {p_text(row.p)} against {first}")
            lines.append(f"  {fitted(row.name, METHOD)} {', '.join(said)}")
            if halves and row.halves:
                odd, even = row.halves
                lines.append(f"  {'':<{METHOD}} tuning half {form(odd)}, check half {form(even)}")
    return lines


def number(figure: float | None) -> str:
    """A share with three digits; a dash where there is none.

    >>> number(0.25), number(None)
    ('0.250', '-')
    """
    return _if_there(figure, lambda there: f"{there:.3f}")


def per_cent(figure: float | None, digits: int) -> str:
    """A share in per cent; a dash where there is none."""
    return _if_there(figure, lambda there: f"{100 * there:.{digits}f}")


def p_text(p: float) -> str:
    """A p-value, not smaller than the test can tell."""
    return _if_there(p, lambda there: "< 0.001" if there < 0.001 else f"{there:.3f}")


def interval(row: Row, form: Callable[[float | None], str] = number) -> str:
    """`0.372 to 0.418`."""
    return f"{form(row.interval.low)} to {form(row.interval.high)}" if row.interval else "-"


def _two_digits(figure: float | None) -> str:
    return per_cent(figure, 2)


def _if_there(figure: float | None, told: Callable[[float], str]) -> str:
    return "-" if figure is None or math.isnan(figure) else told(figure)
