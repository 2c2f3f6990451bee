"""A folder's pictures become the rows of `A`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import empty_rows
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.progress import Progress
from dff_onnx.records import Grid
from dff_onnx.runs.parts import Batch, channels_last, in_parts, stacked


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

    Workers decode and run the network side by side, see `in_parts`.

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

    def read(path: Path) -> Picture:
        return read_picture(folder / path, resize)

    return collect_with(folder, paths, read, activations, progress)


def collect_with(
    folder: Path, paths: Sequence[Path], read: Callable[[Path], Picture], activations: Activations, progress: Progress
) -> Collected:
    """As `collect`, from pictures that are read in another way.

    Args:
        folder: for messages.
        paths: of the pictures, in order.
        read: makes pictures of them; may raise an ImageError.
        activations, progress: see `collect`.
    """
    rows, seen, failures = Rows(len(paths)), list[Seen](), list[ImageError]()

    def work(batch: Batch[Path]) -> Block:
        return block_of(batch, activations)

    for part in in_parts(paths, read, work, activations.workers, progress):
        for block in part.made:
            rows.append(block.rows, len(block.seen))
            seen += block.seen
        failures += (ImageError(path, error.reason) for path, error in part.failures)
    A = rows.matrix()
    if A is None:
        raise none_usable(folder, failures)
    return Collected(A, tuple(seen), tuple(failures))


def none_usable(folder: Path, failures: Sequence[ImageError]) -> NoImagesError:
    """The error of a folder whose pictures all failed."""
    return NoImagesError(f"{folder}: not one of {len(failures)} pictures can be used; the first: {failures[0]}")


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of `A` of a few pictures of one size."""

    rows: Array
    seen: list[Seen]


def block_of(batch: Batch[Path], activations: Activations) -> Block:
    """What the network makes of a few pictures of one size.

    Raises:
        ModelError: when activations are negative or not finite.
    """
    pixels = stacked(batch)
    values = checked_activations(pixels, activations)
    grid, size = Grid(*values.shape[2:]), Grid(*pixels.shape[1:3])
    return Block(rows_of(values), [Seen(path, picture.original, size, grid) for path, picture in batch])


def checked_activations(pixels: NDArray[np.uint8], activations: Activations) -> Array:
    """Activations `(n, c, h, w)` of pixels `(n, height, width, 3)`.

    Raises:
        ModelError: when they are negative or not finite.
    """
    values = activations(pixels)
    if not activations.nonnegative:
        _check_sign(values, activations)
    _check_finite(values, activations)
    return values


def finite_activations(pixels: NDArray[np.uint8], activations: Activations) -> Array:
    """As `checked_activations`, for those who may be negative.

    Raises:
        ModelError: when they are not finite.
    """
    values = activations(pixels)
    _check_finite(namespace_of(values).abs(values), activations)
    return values


def rows_of(values: Array) -> Array:
    """Activations `(n, c, h, w)` as rows `(n h w, c)`; free where channels already lie side by side."""
    n, c, h, w = values.shape
    return channels_last(values).reshape(n * h * w, c)


def _check_sign(values: Array, activations: Activations) -> None:
    low = float(namespace_of(values).min(values))
    if low < 0:
        near = f" (the nearest: {', '.join(activations.neighbours)})" if activations.neighbours else ""
        raise ModelError(
            f"layer {activations.fingerprint.layer}: has negative activations ({low:.4g}), and the factorization "
            f"needs values >= 0; take another layer{near}, or say what becomes of them: with --rectify they become 0, "
            "with --split every channel becomes two, its positive and its negative part"
        )


def _check_finite(values: Array, activations: Activations) -> None:
    """Of values of which none is negative: their largest says it."""
    high = float(namespace_of(values).max(values))
    if not math.isfinite(high):
        raise ModelError(
            f"layer {activations.fingerprint.layer}: has activations that are not finite ({high}); take another layer, "
            "or a network in float32 where this one is in float16"
        )
