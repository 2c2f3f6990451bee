"""A connection to a PostgreSQL server, and what it says in our words and with our exit codes.

The driver is pg8000: plain Python under a BSD licence, where psycopg's is the LGPL. All that is large goes through
COPY in its binary form, which is packed and read by NumPy, so that the driver has little to do.
"""

from __future__ import annotations

import importlib.util
import io
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dff_onnx.errors import DffError, NetworkError, OutputError, StoreError, UsageError
from dff_onnx.store.postgres_url import PostgresUrl

PATIENCE = 10.0  # seconds for a connection
LOCK_PATIENCE = 10  # seconds for a lock
CANNOT_WRITE = {
    "53100": "the server's disk is full",
    "55P03": "another program holds its tables locked",
    "25006": "the server takes nothing in: it is read-only",
    "42501": "this user may not write there",
}
DAMAGED = ("XX001", "XX002")  # data and index corrupted


class Postgres:
    """A connection, opened at once.

    Raises:
        UsageError: when the driver is not installed.
        NetworkError: when the server does not let us in.
    """

    def __init__(self, url: PostgresUrl) -> None:
        if importlib.util.find_spec("pg8000") is None:
            raise UsageError("an index on PostgreSQL needs pg8000: pip install 'dff-onnx[postgres]'")
        from pg8000.native import Connection

        self.url = url
        with speaking_to(url):
            self._connection = Connection(
                url.user,
                database=url.database,
                password=url.password,
                timeout=PATIENCE,
                ssl_context=_tls(url),
                application_name=f"dff-onnx process {os.getpid()} on {socket.gethostname()}"[:63],
                **_address(url),
            )
            self._connection._usock.settimeout(None)  # else the driver gives up on every statement that takes longer
            self.run(f"SET lock_timeout = '{LOCK_PATIENCE}s'")

    def run(self, statement: str, **values: Any) -> list[list[Any]]:
        """Rows of a statement; `:name` stands for a value."""
        with speaking_to(self.url):
            return self._connection.run(statement, **values) or []

    def copy_in(self, table: str, data: bytes) -> None:
        """Rows in COPY's binary form into `table (columns)`."""
        with speaking_to(self.url):
            self._connection.run(f"COPY {table} FROM STDIN (FORMAT binary)", stream=io.BytesIO(data))

    def copy_out(self, query: str) -> bytes:
        """The rows of a query in COPY's binary form."""
        data = io.BytesIO()
        with speaking_to(self.url):
            self._connection.run(f"COPY ({query}) TO STDOUT (FORMAT binary)", stream=data)
        return data.getvalue()

    @contextmanager
    def transaction(self, mode: str = "") -> Iterator[None]:
        """All of the block, or nothing; a server that goes away takes back what was not committed."""
        self.run(f"BEGIN {mode}")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(DffError):
                self.run("ROLLBACK")
            raise

    def close(self) -> None:
        """Ends the connection; a second call does nothing."""
        with suppress(DffError):
            self.run("SELECT pg_advisory_unlock_all()")  # the server notices the end of a connection a little later
        with suppress(Exception):
            self._connection.close()


@contextmanager
def speaking_to(url: PostgresUrl) -> Iterator[None]:
    """What goes wrong inside becomes one of our errors, which names the server.

    Raises:
        NetworkError: when the server does not answer, or answers with an error.
        OutputError: when it cannot store anything.
        StoreError: when its files are damaged.
    """
    from pg8000.exceptions import DatabaseError, Error

    try:
        yield
    except (Error, OSError, struct.error, EOFError) as error:  # the last three: of a line that broke
        said: BaseException | None = error
        while said is not None:  # where the driver cannot say goodbye it says so, and not why it wanted to
            if isinstance(said, DatabaseError):
                raise _translated(url, said.args[0] if said.args else "") from error
            said = said.__context__
        raise NetworkError(
            f"{url.shown}: the server went away or is not there ({str(error)[:160]}); nothing is half-written: "
            "see that it runs and run the command again, it goes on where it was"
        ) from error


def _translated(url: PostgresUrl, found: Any) -> DffError:
    code, message = (found.get("C", ""), found.get("M", "")) if isinstance(found, dict) else ("", str(found))
    if code in CANNOT_WRITE:
        return OutputError(f"{url.shown}: {CANNOT_WRITE[code]} ({message}); see to it and run the command again")
    if code in DAMAGED:
        return StoreError(f"{url.shown}: is damaged ({message}); take it from a copy, or make it anew")
    if code.startswith(("08", "57P")):
        return NetworkError(
            f"{url.shown}: the server ended the connection ({message}); nothing is half-written: run the command again"
        )
    return NetworkError(f"{url.shown}: the server says: {message} ({code}); see to it and run the command again")


def _address(url: PostgresUrl) -> dict[str, Any]:
    if url.host.startswith("/"):
        return {"unix_sock": f"{url.host}/.s.PGSQL.{url.port}"}
    return {"host": url.host, "port": url.port}


def _tls(url: PostgresUrl) -> Any:
    if url.tls == "disable" or url.host.startswith("/"):
        return False
    if url.tls == "verify-full":
        return ssl.create_default_context()
    return True if url.tls == "require" else None
