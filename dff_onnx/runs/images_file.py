"""What was found in the pictures of a large set, in a file in place of memory: a line of JSON each, read one by one."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.errors import OutputError
from dff_onnx.files import printable
from dff_onnx.records import Box, Region
from dff_onnx.report.found import ConceptInImage, ImageFound
from dff_onnx.runs.seen import Seen

T = TypeVar("T")
Levels = NDArray[np.uint8]
FORGET = 256  # readings, after which the file may leave memory


class Lazy(Sequence[T]):
    """Things that are made when they are asked for.

    Args:
        many: how many.
        made: one of them, by its number; any thread may ask.
    """

    def __init__(self, many: int, made: Callable[[int], T]) -> None:
        self._many, self._made = many, made

    def __len__(self) -> int:
        return self._many

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            return tuple(self._made(i) for i in range(*index.indices(self._many)))
        return self._made(range(self._many)[index])

    def __iter__(self) -> Iterator[T]:
        return map(self._made, range(self._many))


def with_overlays(images: Sequence[ImageFound], overlays: Mapping[int, str]) -> Sequence[ImageFound]:
    """The same images, some with the path of their overlay, by their numbers."""

    def image(index: int) -> ImageFound:
        found, path = images[index], overlays.get(index)
        return found if path is None else replace(found, overlay=path)

    lazy = Lazy(len(images), image)
    return tuple(lazy) if isinstance(images, tuple) else lazy


def images_in(path: Path, images: Iterable[ImageFound], seen: Sequence[Seen]) -> Sequence[ImageFound]:
    """Writes images to a file, and gives them back from there.

    Args:
        path: of the file, written anew.
        images: with shared concepts; anything else that an image may have is not kept.
        seen: the same pictures.

    Raises:
        OutputError: when it cannot be written.
    """
    read = _blobs(path, (json.dumps(_plain(image)).encode() for image in images))
    return Lazy(len(seen), lambda index: _image(json.loads(read(index)), seen[index]))


def maps_in(path: Path, maps: Iterable[Levels]) -> Sequence[Levels]:
    """Writes sharpened maps `(k, height, width)` to a file, and gives them back from there.

    Raises:
        OutputError: when it cannot be written.
    """
    shapes = array("q")

    def noted() -> Iterator[bytes]:
        for one in maps:
            shapes.extend(one.shape)
            yield np.ascontiguousarray(one).tobytes()

    read = _blobs(path, noted())

    def levels(index: int) -> Levels:
        return np.frombuffer(read(index), np.uint8).reshape(shapes[3 * index : 3 * index + 3])

    return Lazy(len(shapes) // 3, levels)


def _blobs(path: Path, blobs: Iterable[bytes]) -> Callable[[int], bytes]:
    """A file of one blob after the other; what reads them."""
    ends = array("q", [0])
    try:
        with path.open("wb") as file:
            for blob in blobs:
                file.write(blob)
                ends.append(ends[-1] + len(blob))
        data: NDArray[np.uint8] = np.memmap(path, np.uint8, "r") if ends[-1] else np.empty(0, np.uint8)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); make room there") from error
    numbers = count(1)

    def read(index: int) -> bytes:
        blob = data[ends[index] : ends[index + 1]].tobytes()
        if next(numbers) % FORGET == 0:
            forget_pages(data)
        return blob

    return read


def _plain(image: ImageFound) -> list[Any]:
    return [
        image.loss,
        [[one.score, one.share, [_numbers(region) for region in one.regions]] for one in image.concepts],
    ]


def _numbers(region: Region) -> list[int]:
    return [region.box.x0, region.box.y0, region.box.x1, region.box.y1, region.area]


def _image(fields: Any, seen: Seen) -> ImageFound:
    loss, concepts = fields
    return ImageFound(
        printable(seen.path),
        seen.original,
        seen.input,
        seen.grid,
        tuple(
            ConceptInImage(j, score, share, tuple(Region(Box(*box), area) for *box, area in regions))
            for j, (score, share, regions) in enumerate(concepts)
        ),
        loss=loss,
    )
