"""A folder's pictures become the rows of `A`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import empty_rows
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.images import Picture, Resize, batches, prefetch, read_picture
from dff_onnx.records import Grid
from dff_onnx.runs.progress import Progress

BATCH = 8  # more only leave the cache: measured 5 % faster than 16 and 20 % faster than 32 on a CPU


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture that was read.

    Attributes:
        path: relative to the folder.
        original: size in pixels, after its EXIF turn.
        input: size as the network saw it.
        grid: of its activations.
    """

    path: Path
    original: Grid
    input: Grid
    grid: Grid


@dataclass(frozen=True, slots=True)
class Collected:
    """The rows of `A`, picture after picture in sorted order, and where they come from."""

    A: Array
    seen: tuple[Seen, ...]
    failures: tuple[ImageError, ...]

    @property
    def grids(self) -> list[Grid]:
        """One for each picture, in order."""
        return [picture.grid for picture in self.seen]

    @property
    def inputs(self) -> list[Grid]:
        """The size of each picture as the network saw it."""
        return [picture.input for picture in self.seen]


class Rows:
    """A matrix that grows by blocks of rows, allocated once where pictures have one size."""

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._store: Array | None = None
        self._used = 0
        self._seen = 0

    def append(self, block: Array, pictures: int) -> None:
        """Copies `block (m, c)`, the rows of so many pictures, to the end."""
        self._seen += pictures
        needed = self._used + block.shape[0]
        if self._store is None or needed > self._store.shape[0]:
            # Rows per picture so far, times pictures, and some air where sizes differ.
            expected = -(-needed * self._pictures // self._seen)
            self._store = self._moved(block, expected if self._used == 0 else expected + expected // 20)
        self._store[self._used : needed, :] = block
        self._used = needed

    def _moved(self, block: Array, rows: int) -> Array:
        store = empty_rows((max(rows, self._used + block.shape[0]), block.shape[1]), block)
        if self._store is not None:
            store[: self._used, :] = self._store[: self._used, :]
        return store

    def matrix(self) -> Array | None:
        """All rows, or None where nothing was appended."""
        return None if self._store is None else self._store[: self._used, :]


def collect(
    folder: Path, paths: Sequence[Path], activations: Activations, resize: Resize, progress: Progress
) -> Collected:
    """Reads the pictures, runs the network, stacks the rows.

    One thread decodes ahead while the network works. Pictures of one size go through it together; which ones depends
    on their order alone.

    Args:
        folder: that `paths` are relative to.
        paths: sorted.
        activations: the network.
        resize: of the pictures.
        progress: is told of every picture.

    Raises:
        NoImagesError: when not one picture can be used.
        ModelError: when activations are negative or not finite.
    """
    rows, seen, failures = Rows(len(paths)), list[Seen](), list[ImageError]()

    def read() -> Iterator[tuple[Path, Picture]]:
        for path, result in prefetch(paths, lambda path: read_picture(folder / path, resize), depth=2 * BATCH):
            progress.advance()
            if isinstance(result, ImageError):
                failures.append(ImageError(path, result.reason))
            else:
                yield path, result

    for batch in batches(read(), BATCH):
        pixels = np.stack([picture.pixels for _, picture in batch])
        values = activations(pixels)
        grid, size = Grid(*values.shape[2:]), Grid(*pixels.shape[1:3])
        if not activations.nonnegative:
            _check_sign(values, activations)
        rows.append(rows_of(values), len(batch))
        seen += [Seen(path, picture.original, size, grid) for path, picture in batch]
    A = rows.matrix()
    if A is None:
        raise NoImagesError(f"{folder}: not one of {len(paths)} pictures can be used; the first: {failures[0]}")
    return Collected(A, tuple(seen), tuple(failures))


def rows_of(values: Array) -> Array:
    """Activations `(n, c, h, w)` as rows `(n h w, c)`; free where channels already lie side by side."""
    n, c, h, w = values.shape
    return namespace_of(values).moveaxis(values, 1, -1).reshape(n * h * w, c)


def _check_sign(values: Array, activations: Activations) -> None:
    low = float(namespace_of(values).min(values))
    if low < 0:
        raise ModelError(
            f"layer {activations.fingerprint.layer}: has negative activations ({low:.4g}), and the factorization "
            "needs values >= 0; take a layer after a ReLU (`dff-onnx layers`), or `dff-onnx cut --rectify`"
        )
