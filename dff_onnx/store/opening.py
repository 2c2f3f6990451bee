"""An index by its address: a file, or a schema on a server."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.store.identity import Identity
from dff_onnx.store.postgres_store import PostgresStore
from dff_onnx.store.postgres_url import is_postgres, parse_postgres
from dff_onnx.store.protocol import VectorStore
from dff_onnx.store.sqlite_store import SqliteStore


def open_store(where: str | Path) -> VectorStore:
    """To read: `INDEX.db` or `postgresql://USER@HOST/DATABASE?schema=NAME`.

    Raises:
        UsageError: when there is no index.
        StoreError: when there is something else.
        OutputError: when a file cannot be opened.
        NetworkError: when a server does not let us in.
    """
    return PostgresStore.open(str(where)) if is_postgres(str(where)) else SqliteStore.open(where)


def stored_identity(where: str | Path) -> Identity | None:
    """What the vectors of an index are, None where none was made yet.

    Raises:
        UsageError: for a folder.
        StoreError: when there is something else.
        OutputError, NetworkError: as `open_store`.
    """
    nothing = PostgresStore.is_missing if is_postgres(str(where)) else SqliteStore.is_missing
    if nothing(str(where)):
        return None
    with open_store(where) as store:
        return store.identity


def write_store(where: str | Path, identity: Identity) -> VectorStore:
    """To read and write; an index is made where there is none.

    Raises:
        StoreError: when there is something else, or an index of another identity.
        OutputError: when it cannot be written, or another process is writing it.
        NetworkError: when a server does not let us in.
    """
    if is_postgres(str(where)):
        return PostgresStore.write(str(where), identity)
    return SqliteStore.write(where, identity)


def shown_address(where: str | Path) -> str:
    """For sentences: without a server's password.

    >>> shown_address("postgresql://ann:secret@db.example/pictures")
    'postgresql://ann@db.example:5432/pictures?schema=dff_onnx'
    """
    return parse_postgres(str(where)).shown if is_postgres(str(where)) else str(where)
