"""Opens the SQLite file of an index, and judges it before anything is read from it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from dff_onnx.errors import OutputError, StoreError, UsageError
from dff_onnx.store import schema
from dff_onnx.store.identity import Identity
from dff_onnx.store.sqlite_errors import code_of

HEADER = 100  # bytes


def connect(path: Path) -> sqlite3.Connection:
    """To read.

    Raises:
        UsageError: when there is no such file.
        StoreError: when it is no index.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(f"{path}: {found}; give an index that `dff-onnx index` made")
    if _half_made(path):
        raise StoreError("was left half made by a command that was ended; run `dff-onnx index` there again")
    try:
        _check_header(path)
        return _judged(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # Beside a file that may only be read, SQLite cannot make the files of its log; nobody writes there then.
        if not _closed(path) or code_of(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return _judged(path, "mode=ro&immutable=1")


def is_missing(path: Path) -> bool:
    """Whether no index was made there yet: there is no file, or one that a kill left without tables.

    Raises:
        StoreError: when it is not even a SQLite file.
    """
    if not path.exists():
        return True
    if path.is_dir():
        return False
    _check_header(path)
    # What is half made is taken back first, which is writing; an index will be written there anyway.
    connection = _opened(path, "mode=rw" if _half_made(path) else "mode=ro")
    try:
        return schema.is_empty(connection)
    finally:
        connection.close()


def connect_to_write(path: Path, identity: Identity) -> sqlite3.Connection:
    """To read and write; an index of this identity is made where there is nothing yet.

    Raises:
        StoreError: when it is no index.
    """
    _check_header(path)
    connection = _opened(path, "mode=rwc")
    try:
        connection.execute("PRAGMA synchronous=FULL")  # what was put is there after a power cut
        if schema.is_empty(connection):
            schema.create(connection, identity.to_json())
        schema.judge(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def make_folder(path: Path) -> None:
    """The folder of a file that is to be written; OutputError when it cannot be made, UsageError for a folder."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give a file for the index")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _judged(path: Path, mode: str) -> sqlite3.Connection:
    connection = _opened(path, mode)
    try:
        if schema.is_empty(connection):
            raise StoreError("holds nothing at all, not even an empty index")
        schema.judge(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    name = f"file:{quote(os.fsencode(path.absolute()))}?{mode}"
    connection = sqlite3.connect(name, uri=True, isolation_level=None, check_same_thread=False)
    try:
        schema.prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _closed(path: Path) -> bool:
    """Whether no log lies beside the file that would belong to what it says."""
    log = path.with_name(path.name + "-wal")
    return not log.exists() or log.stat().st_size == 0


def _half_made(path: Path) -> bool:
    """Whether the first transaction left its journal, at a kill or when a disk failed; later ones have none."""
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and journal.stat().st_size > 0


def _check_header(path: Path) -> None:
    """Refuses what is no SQLite file (SQLite takes a few bytes for an empty one), and a file that was cut off."""
    if not path.exists():
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER)
    if size and (len(header) < HEADER or not header.startswith(b"SQLite format 3\0")):
        raise StoreError("is not even a SQLite file")
    page = int.from_bytes(header[16:18], "big")
    wanted = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    if size < wanted and _closed(path):  # else what is missing may be in the log
        raise StoreError(f"was cut off: it has {size} of its {wanted} bytes")
