"""A folder's pictures become the rows of `A`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import empty_rows
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.images import Picture, Resize, batches, read_picture
from dff_onnx.progress import Progress
from dff_onnx.records import Grid
from dff_onnx.threads import in_order

BATCH = 4  # more only leave the processor's cache: 16 were measured 5 % slower, 32 20 %


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

    Neighbours in the list go through the network together, a few at a time; workers take such parts side by side,
    decoding and running the network. What a part holds depends on its place in the list alone, whoever works on it.

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
    parts = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
    for part in in_order(parts, lambda part: _activated(folder, part, activations, resize), activations.workers):
        for block in part.blocks:
            rows.append(block.rows, len(block.seen))
            seen += block.seen
        failures += part.failures
        progress.advance(part.pictures)
    A = rows.matrix()
    if A is None:
        raise NoImagesError(f"{folder}: not one of {len(paths)} pictures can be used; the first: {failures[0]}")
    return Collected(A, tuple(seen), tuple(failures))


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of a few pictures of one size."""

    rows: Array
    seen: list[Seen]


@dataclass(frozen=True, slots=True)
class _Part:
    """What became of a few neighbouring pictures."""

    pictures: int
    blocks: list[_Block]
    failures: list[ImageError]


def _activated(folder: Path, paths: Sequence[Path], activations: Activations, resize: Resize) -> _Part:
    """Decodes a few pictures and runs the network on those of one size together."""
    pictures, failures = list[tuple[Path, Picture]](), list[ImageError]()
    for path in paths:
        try:
            pictures.append((path, read_picture(folder / path, resize)))
        except ImageError as error:
            failures.append(ImageError(path, error.reason))
    return _Part(len(paths), [_block(batch, activations) for batch in batches(pictures, BATCH)], failures)


def _block(batch: Sequence[tuple[Path, Picture]], activations: Activations) -> _Block:
    pixels = np.stack([picture.pixels for _, picture in batch])
    values = activations(pixels)
    if not activations.nonnegative:
        _check_sign(values, activations)
    grid, size = Grid(*values.shape[2:]), Grid(*pixels.shape[1:3])
    return _Block(rows_of(values), [Seen(path, picture.original, size, grid) for path, picture in batch])


def rows_of(values: Array) -> Array:
    """Activations `(n, c, h, w)` as rows `(n h w, c)`; free where channels already lie side by side."""
    n, c, h, w = values.shape
    return namespace_of(values).moveaxis(values, 1, -1).reshape(n * h * w, c)


def _check_sign(values: Array, activations: Activations) -> None:
    low = float(namespace_of(values).min(values))
    if low < 0:
        near = f" (the nearest: {', '.join(activations.neighbours)})" if activations.neighbours else ""
        raise ModelError(
            f"layer {activations.fingerprint.layer}: has negative activations ({low:.4g}), and the factorization "
            f"needs values >= 0; take another layer{near}, or say what becomes of them: with --rectify they become 0, "
            "with --split every channel becomes two, its positive and its negative part"
        )
