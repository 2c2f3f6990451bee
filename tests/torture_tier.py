"""How many cases each row of the torture table has in each tier, and the summary that says how many were run.

A test that belongs to a row takes `cases`, a range of numbers, from `@tiers("name of the row")`; the same body then
runs in every tier that the row has a number for. `@row("name of the row")` counts a test with one number everywhere;
`make torture` runs these, too.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest

# `3/10`: the third tenth of each row of the long tier, for a machine that has only an hour. All parts together are the
# whole, and the summary says what was really run. In less than 1/200 some tests see too few cases for what they expect
# of chance.
PART, PARTS = map(int, os.environ.get("DFF_ONNX_TORTURE_PART", "1/1").split("/"))
if not 1 <= PART <= PARTS:
    raise ValueError(f"DFF_ONNX_TORTURE_PART: 1/10 to 10/10 are the parts of ten, found {PART}/{PARTS}")
# So many cases of the long tier are one test: workers share them out, and a process that dies loses few.
PIECE = 25_000
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Row:
    """Numbers of cases, of all tests of a row together; 0 where the tier has none of its own.

    Attributes:
        quick: in `make test`.
        test_all: added by `make test-all`.
        torture: added by `make torture`.
        piece: cases of the long tier in one test.
    """

    quick: int = 0
    test_all: int = 0
    torture: int = 0
    piece: int = PIECE


ROWS = {
    "mutated pictures": Row(test_all=10_500, torture=1_000_000),
    "mutated ONNX files": Row(test_all=1_500, torture=200_000),
    "mutated classifiers": Row(test_all=2_000, torture=200_000),
    "mutated checkpoints": Row(test_all=1_500, torture=200_000),
    "mutated banks": Row(test_all=3_000, torture=200_000),
    "mutated indexes": Row(quick=60, test_all=2_000, torture=200_000, piece=5_000),
    "mutated journals": Row(quick=40, test_all=1_500, torture=200_000, piece=5_000),
    "mutated rows of a run": Row(quick=200, test_all=2_000, torture=200_000),
    "mutated features": Row(quick=400, test_all=1_500, torture=200_000),
    "mutated heads": Row(quick=200, test_all=1_500, torture=200_000),
    "mutated whitenings": Row(quick=200, test_all=1_500, torture=200_000),
    "mutated maps of a run": Row(quick=600, test_all=1_500, torture=200_000),
    "mutated results of a run": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated files of a run": Row(quick=900, test_all=1_500, torture=200_000),
    "mutated labels": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated model cards": Row(quick=200, test_all=1_500, torture=200_000),
    "mutated VOC XML": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated ILSVRC XML": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated .mat files": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated pickled truths": Row(quick=600, test_all=1_500, torture=200_000),
    "mutated truths of retrieval": Row(quick=600, test_all=1_500, torture=200_000),
    "mutated tables of boxes": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated evaluations": Row(quick=400, test_all=1_500, torture=200_000),
    "mutated identities of indexes": Row(quick=400, test_all=1_500, torture=200_000),
    "mutated graphs beside indexes": Row(quick=200, test_all=1_500, torture=200_000),
    "mutated graphs of a database": Row(quick=300, test_all=1_500, torture=200_000),
    "mutated attacks by external data": Row(quick=90, test_all=900, torture=25_000),
    "mutated attacks by pickles": Row(quick=170, test_all=1_700, torture=25_000),
    "NMF laws": Row(quick=40, test_all=500, torture=50_000, piece=5_000),
    "picture zoo": Row(),
    "external data attacks": Row(),
    "pickle attacks": Row(),
    "hostile file names": Row(),
    "100 000 files listed": Row(),
    "pictures of a run in flat memory": Row(torture=10_000, piece=10_000),
    "failing writes": Row(test_all=3, torture=50, piece=50),
    "kill -9 of run": Row(test_all=20, torture=1_000, piece=50),
    "kill -9 of a large run": Row(test_all=20, torture=1_000, piece=50),
    "kill -9 of apply": Row(test_all=5, torture=1_000, piece=50),
    "kill -9 of cam": Row(test_all=5, torture=1_000, piece=50),
    "kill -9 of eval": Row(test_all=8, torture=1_000, piece=50),
    "kill -9 of index": Row(test_all=20, torture=1_000, piece=50),
    "kill -9 of models get": Row(test_all=20, torture=1_000, piece=50),
    "kill -9 at each call": Row(),
    "kill -9 of the store": Row(),
    "NumPy = array-api-strict": Row(),
    "NumPy = CuPy": Row(),
}
# Tests of these rows are in every package, and known by what they are called or by where they are.
SPREAD = {
    "NumPy = array-api-strict": re.compile("foreign_device|another_device|needs?_no_numpy|needs_numpy|array_library"),
    "NumPy = CuPy": re.compile("test_gpu(_retrieval)?[.]py"),
}


def row(name: str, cases: int = 1) -> Callable[[Test], Test]:
    """Marks a test as so many cases of a row, in every tier that runs it and in `make torture`."""

    def mark(test: Test) -> Test:
        return pytest.mark.same(counted(name, cases)(test))

    return mark


def counted(name: str, cases: int = 1) -> pytest.MarkDecorator:
    """Counts a test as so many cases of a row; its own marks say which tiers run it."""
    if name not in ROWS:
        raise ValueError(f"{name}: is no row of the torture table")
    return pytest.mark.row(name, cases)


def tiers(name: str, share: float = 1.0) -> pytest.MarkDecorator:
    """Gives a test its `cases` in each tier: consecutive ranges, so that no tier repeats another.

    Args:
        name: of the row.
        share: of the row's numbers; the shares of its tests add up to 1.
    """
    plan, first, found = ROWS[name], 0, []
    for number, marks, piece, part in (
        (plan.quick, (), plan.quick, (1, 1)),
        (plan.test_all, (pytest.mark.slow,), plan.test_all, (1, 1)),
        (plan.torture, (pytest.mark.torture,), plan.piece, (PART, PARTS)),
    ):
        total = round(number * share)
        for cases in pieces(range(first, first + total), piece, *part):
            mark = counted(name, len(cases))
            found.append(pytest.param(cases, marks=(*marks, mark), id=f"{cases.start}-{cases.stop - 1}"))
        first += total
    return pytest.mark.parametrize("cases", found)


def pieces(cases: range, most: int, part: int, parts: int) -> list[range]:
    """One of so many equal parts of consecutive cases, in pieces that are not too long."""
    own = cases[len(cases) * (part - 1) // parts : len(cases) * part // parts]
    return [own[at : at + most] for at in range(0, len(own), max(1, most))]


def each(cases: range, judge: Callable[[int, np.random.Generator], str]) -> Counter[str]:
    """Runs every case with random numbers of its own, and counts what became of them; one that fails is named."""
    found: Counter[str] = Counter()
    for number in cases:
        try:
            found[judge(number, np.random.default_rng(number))] += 1
        except BaseException as error:
            error.add_note(f"case {number} of {cases}")
            raise
    return found


def note_rows(items: list[pytest.Item]) -> None:
    """Writes each test's row on it, so that it comes back from whatever process runs it."""
    for item in items:
        for name, said in SPREAD.items():
            if said.search(item.nodeid):
                item.add_marker(counted(name))
                item.add_marker("same")
        for mark in item.iter_markers("row"):
            item.user_properties.append(("row", [mark.args[0], mark.args[1]]))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The torture table as it was run: cases that passed, cases of tests that failed."""
    if not config.getoption("-m"):
        return
    passed, failed = (_cases(terminalreporter.stats.get(outcome, [])) for outcome in ("passed", "failed"))
    if not passed and not failed:
        return
    part = f", part {PART} of {PARTS} of the long tier" if PARTS > 1 and "torture" in config.getoption("-m") else ""
    terminalreporter.section(f"cases run, by row of the torture table{part}")
    for name in ROWS:
        said = f"{passed[name]:>9} passed" if passed[name] else "  not run here"
        terminalreporter.line(f"{name:<34}{said}" + (f", {failed[name]} in failed tests" if failed[name] else ""))


def _cases(reports: list[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for report in reports:
        if getattr(report, "when", "") == "call":
            for key, value in report.user_properties:
                if key == "row":
                    found[value[0]] += value[1]
    return found
