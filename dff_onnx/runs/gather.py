"""Rows of pictures as they come, part after part: kept in memory, or on disk for a run that may be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.helpers import empty_rows, like
from dff_onnx.errors import ImageError
from dff_onnx.images import Picture
from dff_onnx.progress import Progress
from dff_onnx.records import Grid
from dff_onnx.runs.keep import Keep, digest_of, stamp_of
from dff_onnx.runs.parts import BATCH, Batch, Part, in_parts
from dff_onnx.runs.seen import SeenTable, Sizes
from dff_onnx.store import RowStore
from dff_onnx.store.journal import Record

T = TypeVar("T")
NOTHING = np.zeros((0, 1), np.float32)  # the rows of a block that is figures alone


@dataclass(frozen=True, slots=True)
class Block:
    """What was made of a few pictures of one size: sizes, figures or both, one for each picture.

    Attributes:
        rows: `(m, c)`, picture after picture; none where figures say all.
        sizes: none where nobody asks for them.
        figures: further plain values; none where there are none.
    """

    rows: Array
    sizes: Sequence[Sizes] = ()
    figures: Sequence[Any] = ()


def sizes_of(batch: Batch[T], grid: Grid) -> list[Sizes]:
    """Of pictures whose activations have this grid."""
    return [Sizes(picture.original, Grid(*picture.pixels.shape[:2]), grid) for _, picture in batch]


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


class Gathered:
    """Parts of pictures in the order of their list, in memory. A picture is known by its place in the list.

    Args:
        paths: of their files; a file that several pictures are made of is there several times.

    Attributes:
        seen: the pictures that were read, where blocks have their sizes.
        figures: of each, where blocks have some.
        failed: those that could not be, by their places.
        done: how many of the list are dealt with.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths, self.seen, self.done = paths, SeenTable(paths), 0
        self.figures: list[Any] = []
        self.failed: dict[int, ImageError] = {}
        self._rows = Rows(len(paths))

    def fill(
        self,
        read: Callable[[int], Picture],
        work: Callable[[Batch[int]], Block],
        workers: int,
        progress: Progress,
    ) -> None:
        """Does what is left of the list, see `in_parts`.

        Args:
            read: the picture of a place.
            work: on a few places with their pictures.
            workers, progress: the stage is the caller's.

        Raises:
            OutputError: when the disk is full.
        """
        progress.advance(self.done)
        for part in in_parts(range(self.done, len(self.paths)), self._reading(read), work, workers, progress):
            self._add(part)

    @property
    def places(self) -> list[int]:
        """Of the pictures that were read."""
        return [place for place in range(self.done) if place not in self.failed]

    @property
    def failures(self) -> tuple[ImageError, ...]:
        """Why the others were not."""
        return tuple(self.failed.values())

    def matrix(self) -> Array | None:
        """All rows; None where there are none."""
        return self._rows.matrix()

    def _reading(self, read: Callable[[int], Picture]) -> Callable[[int], Picture]:
        """`read`, as pictures are to be read."""
        return read

    def _add(self, part: Part[int, Block]) -> None:
        """The next few pictures."""
        for block in part.made:
            if block.rows.shape[0]:
                self._rows.append(block.rows, len(block.sizes) or len(block.figures))
        self._note(self._about(part))

    def _next(self) -> range:
        """The places of the next few pictures."""
        return range(self.done, min(self.done + BATCH, len(self.paths)))

    def _about(self, part: Part[int, Block]) -> Record:
        """What is to be said of the next few pictures, in plain values; places count from the first of them."""
        failed = {place - self.done: error for place, error in part.failures}
        read = [i for i in range(len(self._next())) if i not in failed]
        sides = [_sides(one) for block in part.made for one in block.sizes] or [[]] * len(read)
        return {
            "seen": [[i, *figures] for i, figures in zip(read, sides, strict=True)],
            "figures": [figure for block in part.made for figure in block.figures],
            "failures": [[i, error.reason] for i, error in failed.items()],
            "passing": any(map(_may_pass, failed.values())),
        }

    def _note(self, about: Mapping[str, Any]) -> None:
        for i, *sides in about["seen"]:
            if sides:
                self.seen.add(self.done + i, sides)
        self.figures += about["figures"]
        for place, reason in ((self.done + i, reason) for i, reason in about["failures"]):
            self.failed[place] = ImageError(self.paths[place], reason)
        self.done = self._next().stop


class Kept(Gathered):
    """The same on disk, part after part; what is there already, of files that did not change, counts as done.

    Args:
        root: that the paths are relative to.
        paths: all of them, in order.
        keep, name, of: where, under which name, and what the rows depend on.

    Attributes:
        beside: an array of the network's, which says where rows are to lie; None where it leaves them on the host.
    """

    def __init__(self, root: Path, paths: Sequence[Path], keep: Keep, name: str, of: Mapping[str, Any]) -> None:
        super().__init__(paths)
        self._root, self._keep = root, keep
        self._stamps: dict[int, str] = {}
        self.beside: Array | None = None
        self.store: RowStore = keep.rows(name, of, self._take_up)

    def matrix(self) -> Array | None:
        """All rows, mapped where memory would not hold them; where the network leaves them, on a GPU."""
        rows = self.store.matrix(self._keep.memory)
        return rows if rows is None or self.beside is None else like(rows, self.beside)

    def _reading(self, read: Callable[[int], Picture]) -> Callable[[int], Picture]:
        """`read`, noting first what tells a changed file."""

        def noted(place: int) -> Picture:
            self._stamps[place] = stamp_of(self._root / self.paths[place])
            return read(place)

        return noted

    def _add(self, part: Part[int, Block]) -> None:
        """The next few pictures.

        Raises:
            OutputError: when the disk is full.
        """
        about = {**self._about(part), "files": self._files(self._stamps.pop)}
        blocks = [block.rows for block in part.made if block.rows.shape[0]]
        self.beside = next((rows[:0, :] for rows in blocks if not isinstance(rows, np.ndarray)), self.beside)
        self.store.add([to_numpy(rows) for rows in blocks], about)
        self._note(about)

    def _files(self, stamp: Callable[[int], str]) -> int:
        """What tells whether files of the next few pictures changed."""
        places = self._next()
        return digest_of([self.paths[place] for place in places], [stamp(place) for place in places])

    def _take_up(self, about: Record) -> bool:
        files = self._files(lambda place: stamp_of(self._root / self.paths[place]))
        if not self._next() or about["passing"] or about["files"] != files:
            return False
        self._note(about)
        return True


@contextmanager
def gathering(
    root: Path, paths: Sequence[Path], keep: Keep | None, name: str, of: Mapping[str, Any]
) -> Iterator[Gathered]:
    """A place for the rows of pictures.

    Args:
        root: that the paths are relative to.
        paths: in order.
        keep: where they are kept for a run that may be killed; None keeps them in memory alone.
        name, of: of what is kept: see `Keep.rows`.

    Raises:
        OutputError: when they cannot be written.
    """
    if keep is None:
        yield Gathered(paths)
        return
    kept = Kept(root, paths, keep, name, of)
    with kept.store:
        yield kept


def _may_pass(error: ImageError) -> bool:
    """Whether the system kept a file from being read, and not what is in it: another try may do better."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno is not None


def _sides(sizes: Sizes) -> list[int]:
    """Heights and widths, one after the other."""
    return [side for grid in (sizes.original, sizes.input, sizes.grid) for side in (grid.height, grid.width)]
