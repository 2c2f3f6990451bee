"""An index by its address: a file, or a schema on a server."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.store.identity import Identity
from dff_onnx.store.postgres_store import PostgresStore
from dff_onnx.store.postgres_url import is_postgres
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
