"""Threads that work ahead, in order."""

from __future__ import annotations

import threading
import time

import pytest

from dff_onnx.threads import in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_whoever_is_first(workers: int) -> None:
    def work(n: int) -> int:
        time.sleep(0.002 * (n % 3))
        return n * n

    assert list(in_order(range(30), work, workers)) == [n * n for n in range(30)]


def test_an_error_is_raised_in_its_turn() -> None:
    def work(n: int) -> int:
        if n == 3:
            raise RuntimeError("three")
        return n

    results = in_order(range(9), work, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="three"):
        next(results)


def test_threads_end_when_nobody_asks_any_more() -> None:
    before = threading.active_count()
    results = in_order(range(10_000), lambda n: n, 3)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_only_a_little_is_worked_ahead() -> None:
    started: list[int] = []
    results = in_order(range(100), started.append, 2)
    next(results)
    time.sleep(0.05)
    assert len(started) <= 6
    results.close()  # type: ignore[attr-defined]
