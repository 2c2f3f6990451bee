"""Locks between processes: the system's, which vanish with a process that dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import IO, BinaryIO

PLACE = 64  # Windows locks bytes: one behind the number, so that others can read it
NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK)
AGAIN = 20  # tries, where another process removes the lock's file meanwhile


class Lock:
    """A lock file that holds the number of the process that has it.

    The file means nothing by being there: only who has the system's lock on it holds it.

    Args:
        path: of the file, made where it is missing; its folder is there.

    Raises:
        OSError: when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def take(self) -> str | None:
        """Takes it, without waiting; the process that has it where another does.

        Returns:
            None when it is ours now, else the number of the other process, or `unknown`.
        """
        for _ in range(AGAIN):
            file = _opened(self.path)
            if not taken(file):
                with file:
                    return file.read(PLACE).decode("ascii", "replace").strip() or "unknown"
            if _is_at(file, self.path):
                break
            file.close()  # who had it before removed its file: what we hold has no name any more
        try:
            file.truncate()
            file.write(str(os.getpid()).encode())
            file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                self.path.unlink()
            with contextlib.suppress(OSError):
                file.close()  # which may refuse to be flushed; either way it is closed, and the lock free
            raise
        self._file = file
        return None

    def free(self, remove: bool = False) -> None:
        """Lets others take it.

        Args:
            remove: the file, too.
        """
        if self._file is None:
            return
        if remove and sys.platform != "win32":  # which removes no file that is open
            self.path.unlink(missing_ok=True)
        self._file.close()
        if remove and sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._file = None


def taken(file: IO[bytes]) -> bool:
    """Whether an open file's lock is ours now; False where another has it.

    True as well where the file system has no locks.
    """
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
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the open file still is what the path names."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
