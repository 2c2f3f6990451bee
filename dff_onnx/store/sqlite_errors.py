"""What SQLite says, in our words and with our exit codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dff_onnx.errors import DffError, OutputError, StoreError

LOCKED = "another program holds it locked; end that program, or wait for it, and run the command again"
CANNOT_WRITE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and run the command again, it goes on where it was",
    sqlite3.SQLITE_READONLY: "it or its folder cannot be written; take another place, or change its permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; see that its folder is there and may be read and written",
    sqlite3.SQLITE_PERM: "it may not be opened; change its permissions",
    sqlite3.SQLITE_IOERR: "the disk failed while it was read or written; see to the disk and run the command again",
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
}


@contextmanager
def speaking(where: str) -> Iterator[None]:
    """What goes wrong inside becomes one of our errors, which names the file.

    Raises:
        StoreError: for a file that is no index, or is damaged.
        OutputError: for a disk, a folder or a lock that stands in the way.
    """
    try:
        yield
    except StoreError as error:
        raise _named(where, error) from error
    except DffError:
        raise
    except sqlite3.Error as error:
        raise _translated(where, error) from error
    except (OverflowError, TypeError, ValueError) as error:  # a damaged file's values
        raise _damaged(where, str(error)) from error


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary code. Errors of Python's module itself, as of text that is no UTF-8, have none: 1."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _named(where: str, error: StoreError) -> StoreError:
    text = str(error)
    if text.startswith(where):
        return error
    if ";" in text:  # says what to do
        return StoreError(f"{where}: {text}")
    return StoreError(f"{where}: {text}; give an index that `dff-onnx index` made, or make it anew")


def _translated(where: str, error: sqlite3.Error) -> DffError:
    code = code_of(error)
    if code == sqlite3.SQLITE_NOTADB:
        return _named(where, StoreError("is not even a SQLite file"))
    if code in CANNOT_WRITE:
        return OutputError(f"{where}: {CANNOT_WRITE[code]} ({error})")
    return _damaged(where, str(error))


def _damaged(where: str, found: str) -> StoreError:
    return StoreError(f"{where}: is damaged ({ascii(found)[1:120]}); take a copy of it, or make it anew")
