"""Pictures read ahead, and batches of pictures of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from dff_onnx.errors import ImageError
from dff_onnx.images.picture import Picture
from dff_onnx.threads import in_order

T = TypeVar("T")
R = TypeVar("R")


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
