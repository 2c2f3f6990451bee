"""Places for indexes: the same tests run on every kind."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Protocol

import pytest

from dff_onnx.store import Identity, SqliteStore, VectorStore


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


@pytest.fixture(params=["sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return SqlitePlace(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"
