"""The tables of an index in a SQLite file, and the door: a file with anything else in it is refused.

Whatever a row says is covered by a checksum: the blocks have theirs, an image's covers its regions, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from dff_onnx.errors import StoreError
from dff_onnx.store.packing import checksum

APPLICATION_ID = 0x64666669  # "dffi"
VERSION = 1
PAGE_BYTES = 16384  # long chains of small pages halve the speed of reading
LARGEST_VALUE = 512 * 2**20  # bytes: nothing we write comes near
PATIENCE = 10.0  # seconds that SQLite waits for a lock

TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE images (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, "
    "mark TEXT NOT NULL, label TEXT, checksum INTEGER NOT NULL)",
    "CREATE TABLE regions (id INTEGER PRIMARY KEY AUTOINCREMENT, image INTEGER NOT NULL REFERENCES images, "
    "x0 INTEGER NOT NULL, y0 INTEGER NOT NULL, x1 INTEGER NOT NULL, y1 INTEGER NOT NULL, score REAL NOT NULL)",
    "CREATE INDEX regions_of_image ON regions (image)",
    # The last column of a row is the long one: what stands before it is read without it.
    "CREATE TABLE image_blocks (first INTEGER PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL, "
    "ids BLOB NOT NULL, images BLOB NOT NULL, vectors BLOB NOT NULL)",
    "CREATE TABLE region_blocks (first INTEGER PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL, "
    "ids BLOB NOT NULL, images BLOB NOT NULL, vectors BLOB NOT NULL)",
)


def prepare(connection: sqlite3.Connection) -> None:
    """What holds for every connection: nothing in the file is trusted, nothing deleted stays."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
    for setting in ("trusted_schema=OFF", "cell_size_check=ON", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute(f"PRAGMA busy_timeout={int(PATIENCE * 1000)}")


def create(connection: sqlite3.Connection, identity: str) -> None:
    """Fills an empty file, in one transaction."""
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        for statement in TABLES:
            connection.execute(statement)
        write_about(connection, "identity", identity.encode())
        write_about(connection, "state", b"")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was written to the file yet; a kill can leave one like that."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return tables == 0 and _pragma(connection, "application_id") == 0


def judge(connection: sqlite3.Connection) -> None:
    """Refuses a file that is no index, or one of another version.

    Raises:
        StoreError: saying what it is.
    """
    found = _pragma(connection, "application_id")
    if found != APPLICATION_ID:
        raise StoreError(f"is a SQLite file of another program (application id {found:#x})")
    if _pragma(connection, "user_version") != VERSION:
        version = _pragma(connection, "user_version")
        raise StoreError(f"is an index of version {version}, and this program reads version {VERSION}")
    written = connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    if sorted(str(sql) for (sql,) in written) != sorted(TABLES):
        raise StoreError("has other tables than an index has")


def read_about(connection: sqlite3.Connection, name: str) -> bytes | None:
    """A value of the table `about`.

    Raises:
        StoreError: when it is damaged.
    """
    row = connection.execute("SELECT value, checksum FROM about WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    value, found = row
    if not isinstance(value, bytes) or checksum(name.encode(), value) != found:
        raise StoreError(f"what it says about its {name} is damaged")
    return value


def write_about(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    """Sets a value of the table `about`."""
    row = (name, value, checksum(name.encode(), value))
    connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?, ?)", row)


def read_state(connection: sqlite3.Connection) -> str:
    """The digest of all changes so far."""
    found = read_about(connection, "state")
    if found is None:
        raise StoreError("does not say in what state it is")
    return found.decode()


def image_checksum(image: Sequence[Any], regions: Sequence[Sequence[Any]]) -> int:
    """Over a row of `images` without its checksum, and its rows of `regions` by rising ids."""
    return checksum(ascii((tuple(image), [tuple(region) for region in regions])).encode())


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
