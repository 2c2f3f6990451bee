"""Threads that work ahead, in order; and batches of pictures of one size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dff_onnx.errors import ImageError
from dff_onnx.images.picture import Picture

T = TypeVar("T")
R = TypeVar("R")


def in_order(items: Iterable[T], work: Callable[[T], R], workers: int) -> Iterator[R]:
    """The results of `work` in the order of the items, made by threads that run a little ahead.

    Args:
        items: to work on.
        work: what it raises is raised here, in its turn.
        workers: threads; each may be two items ahead of what was asked for.
    """
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


def prefetch(items: Iterable[T], load: Callable[[T], R]) -> Iterator[tuple[T, R | ImageError]]:
    """Each item with what `load` makes of it, read ahead by one thread; an ImageError takes the result's place."""

    def work(item: T) -> tuple[T, R | ImageError]:
        try:
            return item, load(item)
        except ImageError as error:
            return item, error

    return in_order(items, work, 1)


def batches(pictures: Iterable[tuple[T, Picture]], most: int) -> Iterator[list[tuple[T, Picture]]]:
    """Neighbours of one size together, `most` at once; what goes together depends on their order alone.

    Args:
        pictures: each with whatever belongs to it.
        most: pictures in a batch.
    """
    batch: list[tuple[T, Picture]] = []
    for item, picture in pictures:
        if batch and (len(batch) == most or picture.pixels.shape != batch[0][1].pixels.shape):
            yield batch
            batch = []
        batch.append((item, picture))
    if batch:
        yield batch
