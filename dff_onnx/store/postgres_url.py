"""Where an index on a PostgreSQL server is, as one text."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dff_onnx.errors import UsageError

SCHEMES = ("postgresql", "postgres")
SCHEMA = re.compile("[a-z_][a-z0-9_]{0,62}")
TLS = ("prefer", "disable", "require", "verify-full")
EXAMPLE = "postgresql://user@host:5432/database?schema=photos"


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A server, a database in it, and a schema that holds one index.

    Attributes:
        user, host, port, database: as a client needs them; a host that begins with `/` is the folder of a socket.
        schema: the index's, lower-case; `dff_onnx` where none is named.
        tls: `prefer`, `disable`, `require` or `verify-full`, as `sslmode` of PostgreSQL's own clients.
        password: from the URL or from PGPASSWORD; it is never shown.
    """

    user: str
    host: str
    port: int
    database: str
    schema: str = "dff_onnx"
    tls: str = "prefer"
    password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """For sentences: without the password."""
        host = "" if self.host.startswith("/") else f"{self.host}:{self.port}"
        return f"postgresql://{self.user}@{host}/{self.database}?schema={self.schema}"


def is_postgres(where: str) -> bool:
    """Whether a text names an index on a server, not a file.

    >>> is_postgres("postgresql://localhost/pictures"), is_postgres("index.db")
    (True, False)
    """
    return where.split("://", 1)[0] in SCHEMES and "://" in where


def parse_postgres(text: str) -> PostgresUrl:
    """Reads `postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME&host=/FOLDER&sslmode=require`.

    Raises:
        UsageError: when it is none; the password is not repeated.

    >>> parse_postgres("postgresql://ann@db.example/pictures?schema=photos").shown
    'postgresql://ann@db.example:5432/pictures?schema=photos'
    """
    try:
        parts = urlsplit(text)
        more = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port = parts.port or int(more.pop("port", 5432))
    except ValueError as error:
        raise UsageError(f"the address of a server cannot be read; {EXAMPLE} is one") from error
    found = PostgresUrl(
        user=unquote(parts.username or "") or more.pop("user", "") or os.environ.get("PGUSER", "postgres"),
        host=_host(parts, more),
        port=port,
        database=unquote(parts.path.lstrip("/")) or "postgres",
        schema=more.pop("schema", "dff_onnx"),
        tls=more.pop("sslmode", "prefer"),
        password=unquote(parts.password or "") or os.environ.get("PGPASSWORD"),
    )
    _check(found, parts, more)
    return found


def _host(parts: SplitResult, more: dict[str, str]) -> str:
    return more.pop("host", "") or unquote(parts.hostname or "") or "localhost"


def _check(found: PostgresUrl, parts: SplitResult, more: dict[str, str]) -> None:
    if parts.scheme not in SCHEMES or more or parts.fragment:
        odd = ", ".join(sorted(more)) or ascii(parts.fragment or parts.scheme)
        raise UsageError(f"the address of a server has {odd[:80]}, which is not known; {EXAMPLE} is one")
    if not SCHEMA.fullmatch(found.schema) or found.schema.startswith("pg_"):
        raise UsageError(f"schema {ascii(found.schema)[:80]}: lower-case letters, digits and _ make a name")
    if found.tls not in TLS:
        raise UsageError(f"sslmode {ascii(found.tls)[:40]}: {', '.join(TLS)} are known")
