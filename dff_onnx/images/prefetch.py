"""One thread that reads ahead, and batches of pictures of one size."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dff_onnx.errors import ImageError
from dff_onnx.images.picture import Picture

T = TypeVar("T")
R = TypeVar("R")


def prefetch(items: Iterable[T], load: Callable[[T], R], depth: int = 32) -> Iterator[tuple[T, R | ImageError]]:
    """Loads the items in one background thread, at most `depth` ahead, and hands them over in order.

    Args:
        items: to load.
        load: may raise ImageError, which takes the result's place; any other error is raised here.
        depth: how far the thread may run ahead.
    """
    ready: queue.Queue[tuple[T, R | ImageError] | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(result: tuple[T, R | ImageError] | BaseException | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(result, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                if stop.is_set():
                    return
                put((item, _loaded(load, item)))
            put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
            put(error)

    thread = threading.Thread(target=work, name="dff-onnx prefetch", daemon=True)
    thread.start()
    try:
        while (result := ready.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stop.set()
        thread.join()


def _loaded(load: Callable[[T], R], item: T) -> R | ImageError:
    try:
        return load(item)
    except ImageError as error:
        return error


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
