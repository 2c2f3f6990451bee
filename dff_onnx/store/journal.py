"""A journal: what was done so far, a record a line, each with its checksum.

    8f0c1d2e {"format": "dff-onnx/journal/1", "of": {...}}
    41b6a7d0 {"rows": 784, ...}

Records are only ever added. A kill can cut the last line off, a power cut can lose more: what comes from the first line
on that is not whole is cut away when the journal is opened again.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

FORMAT = "dff-onnx/journal/1"
LONGEST = 2**24  # bytes of a line

Record = dict[str, Any]


class Journal:
    """A journal that is open to be gone on with. Its folder is there, and nobody else writes in it.

    Args:
        path: of the file.
        of: what the work depends on, plain values: a journal of something else is begun anew.

    Raises:
        OSError: when it cannot be read or written.
    """

    def __init__(self, path: Path, of: Mapping[str, Any]) -> None:
        self._file: BinaryIO = path.open("a+b", buffering=0)
        head = {"format": FORMAT, "of": dict(of)}
        first = next(_records(self._file, 0), None)
        if first is None or first[0] != json.loads(json.dumps(head)):
            self._file.truncate(0)
            self.add(head)
        self._begin = next(place for _, place in _records(self._file, 0))

    def replayed(self) -> Iterator[tuple[Record, int]]:
        """The records in order, each with a place that `cut` takes: there it ends. What is not whole is no record."""
        yield from _records(self._file, self._begin)

    @property
    def begin(self) -> int:
        """The place before the first record."""
        return self._begin

    def cut(self, place: int) -> None:
        """Forgets all records behind a place that `replayed` gave."""
        self._file.truncate(place)

    def add(self, record: Mapping[str, Any]) -> None:
        """One more; it is there when this returns, whatever becomes of the process.

        Raises:
            OSError: when there is no room for it; those before it stay.
        """
        text = json.dumps(record, ensure_ascii=True, allow_nan=False).encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            line = memoryview(b"%08x %s\n" % (zlib.crc32(text), text))
            while line:  # a disk that is all but full takes a part
                line = line[self._file.write(line) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _records(file: BinaryIO, start: int) -> Iterator[tuple[Record, int]]:
    """From a place on; ends before the first line that is not whole."""
    with open(file.fileno(), "rb", closefd=False) as reader:
        place = start
        while True:
            reader.seek(place)
            line = reader.readline(LONGEST)
            record = _record(line)
            if record is None:
                return
            place += len(line)
            yield record, place


def _record(line: bytes) -> Record | None:
    text = line[9:-1]
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(text):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
