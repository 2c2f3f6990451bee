"""Where the results of a set lie: in memory, or on disk where even its activations are too large for memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.helpers import row_blocks
from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.errors import OutputError
from dff_onnx.factorization.survey import Room
from dff_onnx.report.found import ImageFound
from dff_onnx.runs.images_file import Levels, images_in, maps_in
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.seen import Seen

ROWS = 65_536  # copied at a time


class Held:
    """In memory.

    Attributes:
        room: for the coefficients of a factorization, see `factorize`.
    """

    room: Room | None = None

    def coefficients(self, H: Array) -> NDArray[np.float32]:
        """`H (N, k)` on the host, row after row."""
        return np.ascontiguousarray(to_numpy(H), np.float32)

    def images(self, images: Iterable[ImageFound], seen: Sequence[Seen]) -> Sequence[ImageFound]:  # noqa: ARG002
        """What was found in the pictures."""
        return tuple(images)

    def maps(self, maps: Iterable[Levels]) -> Sequence[Levels]:
        """Sharpened maps."""
        return tuple(maps)


class HeldOnDisk(Held):
    """On disk: nothing of it stays in memory.

    Args:
        folder: where nobody else writes.
        name: that the names of the files begin with.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        self._folder, self._name = folder, name
        self.room = partial(_mapped, folder / f"{name}transposed")

    def coefficients(self, H: Array) -> NDArray[np.float32]:
        """As `Held`."""
        rows = _mapped(self._folder / f"{self._name}coefficients", (H.shape[0], H.shape[1]))
        for block in row_blocks(H.shape[0], ROWS):
            rows[block, :] = H[block, :]
            forget_pages(rows)
            forget_pages(H)
        return rows

    def images(self, images: Iterable[ImageFound], seen: Sequence[Seen]) -> Sequence[ImageFound]:
        """As `Held`."""
        return images_in(self._folder / f"{self._name}images", images, seen)

    def maps(self, maps: Iterable[Levels]) -> Sequence[Levels]:
        """As `Held`."""
        return maps_in(self._folder / f"{self._name}maps", maps)


def held_for(A: Array, keep: Keep | None) -> Held:
    """Where the results of a set belong: with its activations.

    Args:
        A: activations of the set.
        keep: has the folder, where there is one.
    """
    return HeldOnDisk(keep.folder) if keep and isinstance(A, np.memmap) else Held()


def _mapped(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A file of zeros, its room on the disk taken: writing into a mapping of a full disk would end the process."""
    size = 4 * shape[0] * shape[1]
    try:
        with path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        return np.memmap(path, np.float32, "r+", shape=shape)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); make room there") from error
