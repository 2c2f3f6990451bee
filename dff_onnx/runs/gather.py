"""Rows of pictures as they come, part after part: kept in memory, or on disk for a run that may be killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.helpers import empty_rows, like
from dff_onnx.errors import ImageError
from dff_onnx.images import Picture
from dff_onnx.records import Grid
from dff_onnx.runs.keep import Keep, digest_of, stamp_of
from dff_onnx.runs.parts import BATCH, Part
from dff_onnx.runs.seen import Seen, SeenTable
from dff_onnx.store import RowStore
from dff_onnx.store.journal import Record


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of a few pictures of one size.

    Attributes:
        rows: `(m, c)`, picture after picture.
        seen: the pictures.
        figures: further plain values, one for each picture; none where there are none.
    """

    rows: Array
    seen: list[Seen]
    figures: Sequence[Any] = ()


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
    """Parts of pictures in the order of their files, in memory.

    Attributes:
        seen: the pictures that were read.
        figures: of each, where blocks have some.
        failures: those that could not be.
        done: how many files of the list are dealt with.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths, self.seen, self.done = paths, SeenTable(paths), 0
        self.figures: list[Any] = []
        self.failures: list[ImageError] = []
        self._rows = Rows(len(paths))

    def reading(self, read: Callable[[Path], Picture]) -> Callable[[Path], Picture]:
        """`read`, as pictures are to be read."""
        return read

    def add(self, part: Part[Path, Block]) -> None:
        """The next few files."""
        for block in part.made:
            self._rows.append(block.rows, len(block.seen))
        self._note(self._about(part))

    def matrix(self) -> Array | None:
        """All rows; None where there are none."""
        return self._rows.matrix()

    def _about(self, part: Part[Path, Block]) -> Record:
        """What is to be said of the next few files, in plain values; places count from the first of them."""
        place = {path: i for i, path in enumerate(self.paths[self.done : self.done + BATCH])}
        seen = [one for block in part.made for one in block.seen]
        return {
            "seen": [[place[one.path], *_sides(one.original), *_sides(one.input), *_sides(one.grid)] for one in seen],
            "figures": [figure for block in part.made for figure in block.figures],
            "failures": [[place[path], error.reason] for path, error in part.failures],
            "passing": any(_may_pass(error) for _, error in part.failures),
        }

    def _note(self, about: Mapping[str, Any]) -> None:
        for place, *sides in about["seen"]:
            self.seen.add(self.done + place, *(Grid(*sides[i : i + 2]) for i in (0, 2, 4)))
        self.figures += about["figures"]
        self.failures += (ImageError(self.paths[self.done + i], reason) for i, reason in about["failures"])
        self.done = min(self.done + BATCH, len(self.paths))


class Kept(Gathered):
    """The same on disk, part after part; what is there already, of files that did not change, counts as done.

    Args:
        root: that the paths are relative to.
        paths: all of them, sorted.
        keep, name, of: where, under which name, and what the rows depend on.

    Attributes:
        beside: an array of the network's, which says where rows are to lie; None where it leaves them on the host.
    """

    def __init__(self, root: Path, paths: Sequence[Path], keep: Keep, name: str, of: Mapping[str, Any]) -> None:
        super().__init__(paths)
        self._root, self._keep = root, keep
        self._stamps: dict[Path, str] = {}
        self.beside: Array | None = None
        self.store: RowStore = keep.rows(name, of, self._take_up)

    def reading(self, read: Callable[[Path], Picture]) -> Callable[[Path], Picture]:
        """`read`, noting first what tells a changed file."""

        def noted(path: Path) -> Picture:
            self._stamps[path] = stamp_of(self._root / path)
            return read(path)

        return noted

    def add(self, part: Part[Path, Block]) -> None:
        """The next few files.

        Raises:
            OutputError: when the disk is full.
        """
        paths = self.paths[self.done : self.done + BATCH]
        stamps = [self._stamps.pop(path) for path in paths]
        about = {**self._about(part), "files": digest_of(paths, stamps)}
        blocks = [block.rows for block in part.made]
        self.beside = next((rows[:0, :] for rows in blocks if not isinstance(rows, np.ndarray)), self.beside)
        self.store.add([to_numpy(rows) for rows in blocks], about)
        self._note(about)

    def matrix(self) -> Array | None:
        """All rows, mapped where memory would not hold them; where the network leaves them, on a GPU."""
        rows = self.store.matrix(self._keep.memory)
        return rows if rows is None or self.beside is None else like(rows, self.beside)

    def _take_up(self, about: Record) -> bool:
        paths = self.paths[self.done : self.done + BATCH]
        stamps = [stamp_of(self._root / path) for path in paths]
        if not paths or about["passing"] or about["files"] != digest_of(paths, stamps):
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
        paths: sorted.
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


def _sides(grid: Grid) -> tuple[int, int]:
    return grid.height, grid.width
