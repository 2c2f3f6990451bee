"""An index of descriptors in one SQLite file: nothing but the standard library, exact, one writer and many readers.

Readers see a state of the file in which every `put` and `delete` is there as a whole or not at all (SQLite's
write-ahead log). `docs/store.md` describes the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.store import schema, sqlite_records
from dff_onnx.store.entries import Entry, Stamp, batch_of, next_state, path_bytes
from dff_onnx.store.identity import Identity, check_same
from dff_onnx.store.packing import rows_per_block
from dff_onnx.store.protocol import Block, Counts, ImageRecord, Kind, RegionRecord
from dff_onnx.store.sqlite_blocks import SqliteBlocks
from dff_onnx.store.sqlite_check import problems
from dff_onnx.store.sqlite_errors import speaking
from dff_onnx.store.sqlite_open import connect, connect_to_write, is_missing, make_folder
from dff_onnx.store.writer_lock import WriterLock

T = TypeVar("T")


class SqliteStore:
    """A `VectorStore` in a file. `open` reads, `write` writes, too, and makes the file where there is none.

    >>> import tempfile
    >>> from dff_onnx.records import Fingerprint, Preprocessing
    >>> identity = Identity(Fingerprint("ab" * 32, "relu5_4", Preprocessing()), "dff", 2)
    >>> with tempfile.TemporaryDirectory() as folder, SqliteStore.write(Path(folder) / "index.db", identity) as store:
    ...     store.put([Entry("cow.jpg", Stamp(1234, "mtime:1"), np.ones(2))])
    ...     print([block.vectors.tolist() for block in store.blocks("images")], store.find("cow.jpg").id)
    [[[1.0, 1.0]]] 1
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, full: int | None = None, lock: WriterLock | None = None
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        stored = schema.read_about(connection, "identity")
        if stored is None:
            raise StoreError("has no identity")
        self._identity = Identity.from_json(stored.decode())
        rows = full or rows_per_block(self._identity)
        self._blocks: dict[Kind, SqliteBlocks] = {
            "images": SqliteBlocks(connection, "images", self._identity, rows),
            "regions": SqliteBlocks(connection, "regions", self._identity, rows),
        }

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """To read. A writer may be at work.

        Raises:
            UsageError: when there is no such file.
            StoreError: when it is no index.
            OutputError: when it cannot be opened.
        """
        path = Path(path)
        with speaking(str(path)), _closing(connect(path)) as connection:
            return cls(path, connection)

    @staticmethod
    def is_missing(path: str | Path) -> bool:
        """Whether there is no index yet; raises as `open` where there is something else."""
        with speaking(str(path)):
            return is_missing(Path(path))

    @classmethod
    def write(cls, path: str | Path, identity: Identity, block_rows: int | None = None) -> Self:
        """To read and write; the file is made where there is none.

        Args:
            path: of the file.
            identity: that its vectors have, or shall have.
            block_rows: vectors in a full block; None for `rows_per_block`.

        Raises:
            StoreError: when it is no index, or one of another identity.
            OutputError: when it cannot be written, or another process is writing it.
        """
        path = Path(path)
        make_folder(path)
        lock = WriterLock(path)
        try:
            with speaking(str(path)), _closing(connect_to_write(path, identity)) as connection:
                store = cls(path, connection, block_rows, lock)
                check_same(store.identity, identity, str(path))
                return store
        except BaseException:
            lock.free()
            raise

    @property
    def where(self) -> str:
        return str(self._path)

    @property
    def identity(self) -> Identity:
        return self._identity

    def put(self, entries: Sequence[Entry]) -> None:
        batch = batch_of(entries, self._identity)
        if not entries:
            return
        with self._writing() as connection:
            self._forget(sqlite_records.ids_of(connection, batch.paths))
            ids, region_ids = sqlite_records.insert(connection, batch)
            self._blocks["images"].append(Block(ids, ids, batch.vectors))
            if len(region_ids):
                self._blocks["regions"].append(Block(region_ids, ids[batch.owners], batch.regions))
            self._note(batch.digest())

    def delete(self, paths: Collection[str]) -> int:
        stored = sorted({path_bytes(path) for path in paths})
        with self._writing() as connection:
            ids = sqlite_records.ids_of(connection, stored)
            if len(ids):
                self._forget(ids)
                self._note(b"\0".join(stored))
        return len(ids)

    def stamps(self) -> dict[str, Stamp]:
        return self._read(sqlite_records.stamps)

    def counts(self) -> Counts:
        def counted(connection: sqlite3.Connection) -> Counts:
            (images,) = connection.execute("SELECT count(*) FROM images").fetchone()
            (regions,) = connection.execute("SELECT count(*) FROM regions").fetchone()
            return Counts(images, regions, sum(blocks.vector_bytes() for blocks in self._blocks.values()))

        return self._read(counted)

    def blocks(self, kind: Kind) -> Iterator[Block]:
        with speaking(self.where):
            yield from self._blocks[kind]

    def vectors(self, kind: Kind, ids: Sequence[int]) -> NDArray[Any]:
        return self._read(lambda _: self._blocks[kind].pick(ids))

    def images(self, ids: Sequence[int]) -> list[ImageRecord]:
        return self._read(lambda connection: sqlite_records.images_with(connection, ids))

    def regions(self, ids: Sequence[int]) -> list[RegionRecord]:
        return self._read(lambda connection: sqlite_records.regions_with(connection, ids))

    def find(self, path: str) -> ImageRecord | None:
        query = f"SELECT {sqlite_records.IMAGE} FROM images WHERE path = ?"
        stored = path_bytes(path)
        with speaking(self.where):
            row = self._connection.execute(query, (stored,)).fetchone()
            return None if row is None else sqlite_records.image_record(row)

    def regions_of(self, image: int) -> list[RegionRecord]:
        query = f"SELECT {sqlite_records.REGION} FROM regions WHERE image = ? ORDER BY id"
        with speaking(self.where):
            return [sqlite_records.region_record(row) for row in self._connection.execute(query, (int(image),))]

    def attach(self, name: str, data: bytes) -> None:
        with self._writing() as connection:
            schema.write_about(connection, f"attached {name}", data)

    def attachment(self, name: str) -> bytes | None:
        return self._read(lambda connection: schema.read_about(connection, f"attached {name}"))

    def state(self) -> str:
        return self._read(schema.read_state)

    def check(self) -> tuple[str, ...]:
        with speaking(self.where):
            return problems(self._connection, self._identity)

    def compact(self) -> None:
        """Fills blocks up, gives room back, and empties the log. Takes as much room again while it works."""
        with self._writing():
            for blocks in self._blocks.values():
                blocks.merge()
        with speaking(self.where):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with speaking(self.where):
            self._connection.close()
        if self._lock is not None:
            self._lock.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        with speaking(self.where):
            return look(self._connection)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of the block, or nothing."""
        if self._lock is None:
            raise UsageError(f"{self.where}: was opened to be read; open it with `SqliteStore.write` to change it")
        with speaking(self.where):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def _note(self, change: bytes) -> None:
        state = next_state(schema.read_state(self._connection), change)
        schema.write_about(self._connection, "state", state.encode())

    def _forget(self, images: NDArray[np.int64]) -> None:
        if len(images):
            self._blocks["images"].remove(images)
            self._blocks["regions"].remove(sqlite_records.delete(self._connection, images))


@contextmanager
def _closing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Closes it when the block raises."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
