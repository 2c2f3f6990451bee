"""A folder's pictures become the rows of `A`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, ModelError, NoImagesError
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.progress import Progress
from dff_onnx.records import Grid
from dff_onnx.runs.gather import Block, Kept, gathering, sizes_of
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.parts import Batch, channels_last, stacked
from dff_onnx.runs.seen import Seen


@dataclass(frozen=True, slots=True)
class Collected:
    """The rows of `A`, picture after picture in sorted order, and where they come from."""

    A: Array
    seen: Sequence[Seen]
    failures: tuple[ImageError, ...]

    @property
    def grids(self) -> list[Grid]:
        """One for each picture, in order."""
        return [picture.grid for picture in self.seen]

    @property
    def inputs(self) -> list[Grid]:
        """The size of each picture as the network saw it."""
        return [picture.input for picture in self.seen]


def collect(
    folder: Path,
    paths: Sequence[Path],
    activations: Activations,
    resize: Resize,
    progress: Progress,
    keep: Keep | None = None,
) -> Collected:
    """Reads the pictures, runs the network, stacks the rows.

    Workers decode and run the network side by side, see `in_parts`.

    Args:
        folder: that `paths` are relative to.
        paths: sorted.
        activations: the network.
        resize: of the pictures.
        progress: is told of every picture.
        keep: where rows are kept for a run that may be killed; those that are there are not made again.

    Raises:
        NoImagesError: when not one picture can be used.
        ModelError: when activations are negative or not finite.
        OutputError: when rows cannot be kept.
    """

    def read(path: Path) -> Picture:
        return read_picture(folder / path, resize)

    of = {"size": [resize.mode, resize.pixels]}
    return collect_with(folder, paths, read, activations, progress, keep, of)


def collect_with(
    folder: Path,
    paths: Sequence[Path],
    read: Callable[[Path], Picture],
    activations: Activations,
    progress: Progress,
    keep: Keep | None = None,
    of: Mapping[str, Any] | None = None,
) -> Collected:
    """As `collect`, from pictures that are read in another way.

    Args:
        folder: for messages.
        paths: of the pictures, in order.
        read: makes pictures of them; may raise an ImageError.
        activations, progress, keep: see `collect`.
        of: what rows that are kept depend on, beside the network.
    """

    def work(batch: Batch[int]) -> Block:
        return block_of(batch, activations)

    name = "activations-" + "-".join(str(one) for value in (of or {}).values() for one in value)
    with gathering(folder, paths, keep, name, of or {}) as rows:
        rows.fill(lambda place: read(paths[place]), work, activations.workers, progress)
        if not len(rows.seen):
            raise none_usable(folder, rows.failures)
        if isinstance(rows, Kept) and activations.device != "cpu" and rows.beside is None:
            size = rows.seen[0].input  # all was there: where would the network have left it?
            rows.beside = activations(np.zeros((1, size.height, size.width, 3), np.uint8))
        return Collected(rows.matrix(), rows.seen, rows.failures)


def none_usable(folder: Path, failures: Sequence[ImageError]) -> NoImagesError:
    """The error of a folder whose pictures all failed."""
    return NoImagesError(f"{folder}: not one of {len(failures)} pictures can be used; the first: {failures[0]}")


def block_of(batch: Batch[int], activations: Activations) -> Block:
    """What the network makes of a few pictures of one size.

    Raises:
        ModelError: when activations are negative or not finite.
    """
    values = checked_activations(stacked(batch), activations)
    return Block(rows_of(values), sizes_of(batch, Grid(*values.shape[2:])))


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
