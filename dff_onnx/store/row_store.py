"""Rows of a matrix on disk, added in parts: what a run keeps of its pictures while it works.

Two files side by side: `NAME.rows` has the values of all parts, one after the other; `NAME.journal` a record for each
part, with the checksum of its values. Whoever opens them again gets the parts that are whole, up to the first one that
is not, and goes on behind them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import OutputError
from dff_onnx.store.journal import Journal, Record

About = Mapping[str, Any]
KINDS = ("", "<f2", "<f4", "<f8")  # of the values; none before the first row


class RowStore:
    """Rows `(N, c)` on disk. Use it in a `with` block.

    Args:
        folder: where the files lie; nobody else writes in it.
        name: of the files.
        of: what the rows depend on, plain values: parts of something else are thrown away.
        take_up: is given what was said of each whole part that is there, in order; says whether it still holds, as of
            pictures that did not change. The first part that does not, and all behind it, are thrown away.

    Raises:
        OutputError: when they cannot be written.
    """

    def __init__(
        self, folder: Path, name: str, of: About, take_up: Callable[[Record], bool] = lambda _about: True
    ) -> None:
        self._path = folder / f"{name}.rows"
        self._size, self._kind, self._channels = 0, "", 0
        with ExitStack() as opened:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._journal = opened.enter_context(closing(Journal(folder / f"{name}.journal", of)))
                self._file: BinaryIO = opened.enter_context(self._path.open("a+b", buffering=0))
                self._journal.cut(self._taken_up(take_up))
                self._file.truncate(self._size)
            except OSError as error:
                raise self._refused(error) from error
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self._size

    def add(self, blocks: Sequence[NDArray[Any]], about: About) -> None:
        """One more part; it is there when this returns.

        Args:
            blocks: `(m, c)` of floats, `c` and type as before.
            about: plain values, given to `take_up` when the store is opened again.

        Raises:
            OutputError: when they cannot be written, as on a full disk.
        """
        size = total = 0
        try:
            for block in blocks:
                self._kind, self._channels = block.dtype.str, int(block.shape[1])
                data = memoryview(np.ascontiguousarray(block).data).cast("B")
                size, total = size + len(data), zlib.crc32(data, total)
                self._write(data)
            self._journal.add({
                "bytes": size, "sum": total, "type": self._kind, "channels": self._channels, "about": dict(about),
            })  # fmt: skip
        except OSError as error:
            raise self._refused(error) from error
        self._size += size

    def matrix(self, most: int | None = None) -> NDArray[Any] | None:
        """All rows, or None where there are none.

        Args:
            most: bytes that may be in memory; of more the file is mapped. None for any number.
        """
        if not self._size:
            return None
        shape = (self._size // (self._channels * np.dtype(self._kind).itemsize), self._channels)
        if most is not None and self._size > most:
            return np.memmap(self._path, self._kind, "r", shape=shape)
        return np.fromfile(self._path, self._kind).reshape(shape)

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]

    def _taken_up(self, take_up: Callable[[Record], bool]) -> int:
        """Reads what is there, up to the first part that is not whole; where the journal is to be cut."""
        end = self._journal.begin
        self._file.seek(0)
        for record, place in self._journal.replayed():
            if not _is_part(record):
                break
            data = self._file.read(record["bytes"])
            if len(data) != record["bytes"] or zlib.crc32(data) != record["sum"] or not take_up(record["about"]):
                break
            self._size, self._kind, self._channels = self._size + len(data), record["type"], record["channels"]
            end = place
        return end

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: cannot be written ({error.strerror or error}); make room there, or choose another folder "
            "with -o; the same command goes on with what is there"
        )


def _is_part(record: Record) -> bool:
    """Whether a record is one that `add` wrote."""
    whole = all(isinstance(record.get(name), int) and record[name] >= 0 for name in ("bytes", "sum", "channels"))
    return whole and record.get("type") in KINDS and isinstance(record.get("about"), dict)
