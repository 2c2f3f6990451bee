"""A journal on a disk that is all but full."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from dff_onnx.store.journal import Journal

OF = {"network": "ab"}


class Narrow:
    """A file that takes seven bytes at a time, and has room for so many."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self.file.write(bytes(data[: min(7, self.room)]))
        self.room -= taken
        return int(taken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def replayed(path: Path) -> list[Any]:
    journal = Journal(path, OF)
    try:
        return [record for record, _ in journal.replayed()]
    finally:
        journal.close()


@pytest.mark.parametrize("room", [0, 5, 20])
def test_a_record_without_room_is_told_and_those_around_it_stay(tmp_path: Path, room: int) -> None:
    journal = Journal(tmp_path / "a", OF)
    journal.add({"number": 0})
    whole = journal._file
    journal._file = Narrow(whole, room)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space"):
        journal.add({"number": 1})
    journal._file = Narrow(whole, 10_000)  # type: ignore[assignment]
    journal.add({"number": 2})
    journal.close()
    assert replayed(tmp_path / "a") == [{"number": 0}, {"number": 2}]
