"""Threads: how many there may be, and work that they do ahead of its use, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """Cores this process may run on: the affinity mask where there is one, as in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(items: Iterable[T], work: Callable[[T], R], workers: int) -> Iterator[R]:
    """The results of `work` in the order of the items, made by threads that run a little ahead.

    Args:
        items: to work on.
        work: what it raises is raised here, in its turn.
        workers: threads; each may be two items ahead of what was asked for. With 0 the caller's thread works.
    """
    if not workers:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dff-onnx")
    running: deque[Future[R]] = deque()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
