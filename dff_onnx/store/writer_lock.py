"""One writer at a time, known by its process number."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import BinaryIO

from dff_onnx.errors import OutputError

PLACE = 64  # Windows locks bytes: one behind the number, so that others can read it


class WriterLock:
    """Held from its making on until `free`, or until the process ends, however it ends.

    The lock is the system's: the file beside the index, `INDEX.lock`, means nothing by being there.

    Raises:
        OutputError: when another process holds it, naming the process; when the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = self._opened(path)
        if not _taken(self._file):
            holder = self._file.read(PLACE).decode("ascii", "replace").strip() or "unknown"
            self._file.close()
            raise OutputError(
                f"{path}: is being written by process {holder}; wait until it is done, or end it, "
                "and run the command again"
            )
        try:
            self._file.truncate()
            self._file.write(str(os.getpid()).encode())
            self._file.flush()
        except OSError as error:
            self._given_up()
            raise _unwritable(path, path.with_name(path.name + ".lock"), error) from error

    def free(self) -> None:
        """Lets others write."""
        self._file.close()

    def _given_up(self) -> None:
        """Closes a file that may refuse to be flushed; either way it is closed, and the lock free."""
        with contextlib.suppress(OSError):
            self._file.close()

    @staticmethod
    def _opened(path: Path) -> BinaryIO:
        beside = path.with_name(path.name + ".lock")
        try:
            return os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
        except OSError as error:
            raise _unwritable(path, beside, error) from error


def _unwritable(path: Path, beside: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {beside.name} beside it: {error.strerror}")


def _taken(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(PLACE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        return False
    return True
