"""The tables of an index in a schema of a PostgreSQL database, its door, and its one writer."""

from __future__ import annotations

import hashlib
import time

from dff_onnx.errors import OutputError, StoreError, UsageError
from dff_onnx.store.identity import Identity
from dff_onnx.store.postgres_connection import Postgres

FORMAT = b"dff-onnx/postgresql/1"
ATTEMPTS = 11
PAUSE = 0.2  # seconds between them
COLUMNS = {
    "about": "name text PRIMARY KEY, value bytea NOT NULL",
    "images": "id bigint PRIMARY KEY, path bytea NOT NULL UNIQUE, size bigint NOT NULL, mark text NOT NULL, "
    "label text, vector {vector} NOT NULL",
    "regions": "id bigint PRIMARY KEY, image bigint NOT NULL REFERENCES {schema}.images ON DELETE CASCADE, "
    "x0 integer NOT NULL, y0 integer NOT NULL, x1 integer NOT NULL, y1 integer NOT NULL, "
    "score double precision NOT NULL, vector {vector} NOT NULL",
}


def create(server: Postgres, identity: Identity) -> None:
    """Makes the schema and its tables where there are none yet, in one transaction."""
    schema = server.url.schema
    vector = f"{ {'float16': 'halfvec', 'float32': 'vector'}[identity.dtype] }({identity.dimensions})"
    with server.transaction():
        server.run("CREATE EXTENSION IF NOT EXISTS vector")
        server.run(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for table, columns in COLUMNS.items():
            server.run(f"CREATE TABLE {schema}.{table} ({columns.format(schema=schema, vector=vector)})")
            # Vectors hold noise: compressing them takes time and saves nothing.
            if table != "about":
                server.run(f"ALTER TABLE {schema}.{table} ALTER COLUMN vector SET STORAGE EXTERNAL")
        server.run(f"CREATE INDEX ON {schema}.regions (image)")
        for name, value in (("format", FORMAT), ("identity", identity.to_json().encode()), ("state", b"")):
            write_about(server, name, value)
        for name in ("images", "regions"):
            write_about(server, f"last of {name}", b"0")


def judge(server: Postgres, missing_is_fine: bool = False) -> bool:
    """Whether there is an index; refuses a schema with something else in it.

    Raises:
        UsageError: when there is nothing, and that is not fine.
        StoreError: when there is something else.
    """
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema"
    tables = {str(name) for (name,) in server.run(query, schema=server.url.schema)}
    if not tables:
        if missing_is_fine:
            return False
        raise UsageError(f"{server.url.shown}: there is no index; `dff-onnx index` makes one")
    if tables != COLUMNS.keys() or read_about(server, "format") != FORMAT:
        raise StoreError(f"{server.url.shown}: the schema holds other tables than an index has; name another schema")
    return True


def read_identity(server: Postgres) -> Identity:
    """Of all vectors."""
    try:
        return Identity.from_json((read_about(server, "identity") or b"").decode())
    except (StoreError, UnicodeError) as error:
        raise StoreError(f"{server.url.shown}: {error}; make the index anew") from error


def read_about(server: Postgres, name: str) -> bytes | None:
    """A value of the table `about`."""
    rows = server.run(f"SELECT value FROM {server.url.schema}.about WHERE name = :name", name=name)
    return bytes(rows[0][0]) if rows else None


def write_about(server: Postgres, name: str, value: bytes) -> None:
    """Sets a value of the table `about`."""
    server.run(
        f"INSERT INTO {server.url.schema}.about VALUES (:name, :value) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name=name,
        value=value,
    )


def read_figure(server: Postgres, name: str) -> int:
    """A value of the table `about` that is a figure."""
    found = read_about(server, name) or b""
    if not found.isdigit():
        raise StoreError(f"{server.url.shown}: what it says about its {name} is damaged; make the index anew")
    return int(found)


def be_the_writer(server: Postgres) -> None:
    """Until the connection ends, however it ends; the server may take a moment to notice that one ended.

    Raises:
        OutputError: when another is, naming its process.
    """
    key = int.from_bytes(hashlib.sha256(f"dff-onnx {server.url.schema}".encode()).digest()[:8], "big", signed=True)
    for attempt in range(ATTEMPTS):
        if server.run("SELECT pg_try_advisory_lock(:key)", key=key)[0][0]:
            return
        if attempt + 1 < ATTEMPTS:
            time.sleep(PAUSE)
    holders = server.run(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' "
        "AND granted AND (classid::bigint << 32) | objid::bigint = :key",
        key=key,
    )
    holder = str(holders[0][0]).removeprefix("dff-onnx ") if holders else "unknown process"
    raise OutputError(
        f"{server.url.shown}: is being written by {holder}; wait until it is done, or end it, and run the command again"
    )
