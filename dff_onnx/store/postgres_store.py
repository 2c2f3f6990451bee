"""An index of descriptors on a PostgreSQL server with pgvector: the same protocol as in a file, for many machines."""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.store import postgres_schema
from dff_onnx.store.entries import Batch, Entry, Stamp, batch_of, is_inside, next_state, path_bytes
from dff_onnx.store.identity import Identity, check_same
from dff_onnx.store.packing import rows_per_block
from dff_onnx.store.postgres_connection import Postgres
from dff_onnx.store.postgres_copy import pack_rows, pack_vectors, unpack_block
from dff_onnx.store.postgres_url import PostgresUrl, parse_postgres
from dff_onnx.store.protocol import KINDS, Block, Counts, ImageRecord, Kind, RegionRecord

IMAGE = "id, path, size, mark, label"
REGION = "id, image, x0, y0, x1, y1, score"
OWNER: dict[Kind, str] = {"images": "id", "regions": "image"}
SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore:
    """A `VectorStore` in a schema. `open` reads, `write` writes, too, and makes the tables where there are none."""

    def __init__(self, server: Postgres, writable: bool, block_rows: int | None = None) -> None:
        self._server = server
        self._writable = writable
        self._identity = postgres_schema.read_identity(server)
        self._rows = block_rows or rows_per_block(self._identity)
        self._schema = server.url.schema

    @classmethod
    def open(cls, where: str) -> Self:
        """To read. A writer may be at work.

        Raises:
            UsageError: when there is no index.
            StoreError: when the schema holds something else.
            NetworkError: when the server does not let us in.
        """
        server = Postgres(parse_postgres(where))
        try:
            postgres_schema.judge(server)
            return cls(server, writable=False)
        except BaseException:
            server.close()
            raise

    @staticmethod
    def is_missing(where: str) -> bool:
        """Whether there is no index yet; raises as `open` where there is something else."""
        server = Postgres(parse_postgres(where))
        try:
            return not postgres_schema.judge(server, missing_is_fine=True)
        finally:
            server.close()

    @classmethod
    def write(cls, where: str, identity: Identity, block_rows: int | None = None) -> Self:
        """To read and write; extension, schema and tables are made where there are none.

        Args:
            where: a URL, see `parse_postgres`.
            identity: that its vectors have, or shall have.
            block_rows: vectors that are read at a time; None for `rows_per_block`.

        Raises:
            StoreError: when the schema holds something else, or an index of another identity.
            OutputError: when it cannot be written, or another process is writing it.
            NetworkError: when the server does not let us in.
        """
        server = Postgres(parse_postgres(where))
        try:
            postgres_schema.be_the_writer(server)
            if not postgres_schema.judge(server, missing_is_fine=True):
                postgres_schema.create(server, identity)
            store = cls(server, writable=True, block_rows=block_rows)
            check_same(store.identity, identity, store.where)
            return store
        except BaseException:
            server.close()
            raise

    @property
    def where(self) -> str:
        return self._server.url.shown

    @property
    def url(self) -> PostgresUrl:
        """Of the server and the schema."""
        return self._server.url

    @property
    def identity(self) -> Identity:
        return self._identity

    def put(self, entries: Sequence[Entry]) -> None:
        batch = batch_of(entries, self._identity)
        self._check_writable()
        if not entries:
            return
        with self._server.transaction():
            self._server.run(f"DELETE FROM {self._schema}.images WHERE path = ANY(:paths)", paths=batch.paths)
            ids = self._next_ids("images", len(batch.paths))
            region_ids = self._next_ids("regions", len(batch.regions))
            self._server.copy_in(
                f"{self._schema}.images ({IMAGE}, vector)", pack_rows(_image_rows(batch, ids, self._identity))
            )
            self._server.copy_in(
                f"{self._schema}.regions ({REGION}, vector)",
                pack_rows(_region_rows(batch, region_ids, ids[batch.owners], self._identity)),
            )
            self._note(batch.digest())

    def delete(self, paths: Collection[str]) -> int:
        stored = sorted({path_bytes(path) for path in paths})
        self._check_writable()
        with self._server.transaction():
            gone = self._server.run(
                f"DELETE FROM {self._schema}.images WHERE path = ANY(:paths) RETURNING id", paths=stored
            )
            if gone:
                self._note(b"\0".join(stored))
        return len(gone)

    def stamps(self) -> dict[str, Stamp]:
        rows = self._server.run(f"SELECT path, size, mark FROM {self._schema}.images ORDER BY path")
        return {self._path(path): Stamp(size, mark) for path, size, mark in rows}

    def counts(self) -> Counts:
        query = f"SELECT (SELECT count(*) FROM {self._schema}.images), (SELECT count(*) FROM {self._schema}.regions)"
        ((images, regions),) = self._server.run(query)
        return Counts(images, regions, (images + regions) * self._identity.row_bytes)

    def blocks(self, kind: Kind) -> Iterator[Block]:
        server = Postgres(self._server.url)  # its own snapshot: the store's connection goes on
        try:
            with server.transaction(SNAPSHOT):
                last = 0
                while len((block := self._block(server, kind, last)).ids):
                    yield block
                    last = int(block.ids[-1])
        finally:
            server.close()

    def vectors(self, kind: Kind, ids: Sequence[int]) -> NDArray[Any]:
        wanted = np.asarray(ids, np.int64)
        if not len(wanted):
            return np.empty((0, self._identity.dimensions), self._identity.dtype)
        numbers = ",".join(map(str, np.unique(wanted).tolist()))
        block = self._copied(self._server, kind, f"WHERE id IN ({numbers}) ORDER BY id")
        places = np.searchsorted(block.ids, wanted)
        known = np.append(block.ids, -1)[places] == wanted
        if not known.all():
            raise self._gone(kind, int(wanted[int(known.argmin())]))
        found: NDArray[Any] = block.vectors[places]
        return found

    def images(self, ids: Sequence[int]) -> list[ImageRecord]:
        rows = self._server.run(
            f"SELECT {IMAGE} FROM {self._schema}.images WHERE id = ANY(:ids)", ids=[int(number) for number in ids]
        )
        return self._in_order({row[0]: self._image(row) for row in rows}, ids, "images")

    def regions(self, ids: Sequence[int]) -> list[RegionRecord]:
        rows = self._server.run(
            f"SELECT {REGION} FROM {self._schema}.regions WHERE id = ANY(:ids)", ids=[int(number) for number in ids]
        )
        return self._in_order({row[0]: _region(row) for row in rows}, ids, "regions")

    def find(self, path: str) -> ImageRecord | None:
        rows = self._server.run(f"SELECT {IMAGE} FROM {self._schema}.images WHERE path = :path", path=path_bytes(path))
        return self._image(rows[0]) if rows else None

    def regions_of(self, image: int) -> list[RegionRecord]:
        rows = self._server.run(
            f"SELECT {REGION} FROM {self._schema}.regions WHERE image = :image ORDER BY id", image=int(image)
        )
        return [_region(row) for row in rows]

    def attach(self, name: str, data: bytes) -> None:
        self._check_writable()
        postgres_schema.write_about(self._server, f"attached {name}", data)

    def attachment(self, name: str) -> bytes | None:
        return postgres_schema.read_about(self._server, f"attached {name}")

    def state(self) -> str:
        return (postgres_schema.read_about(self._server, "state") or b"").decode()

    def check(self) -> tuple[str, ...]:
        """Reads everything, so that the server compares its own checksums; keys and dimensions are its own rules."""
        try:
            self.stamps()
            return tuple(
                f"a vector of its {kind} from id {block.ids[0]} on is not finite"
                for kind in KINDS
                for block in self.blocks(kind)
                if not np.isfinite(block.vectors).all()
            )
        except StoreError as error:
            return (str(error),)

    def compact(self) -> None:
        """Writes the tables anew without what was deleted; readers wait meanwhile."""
        self._check_writable()
        for table in KINDS:
            self._server.run(f"VACUUM (FULL, ANALYZE) {self._schema}.{table}")

    def close(self) -> None:
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_writable(self) -> None:
        if not self._writable:
            raise UsageError(f"{self.where}: was opened to be read; open it with `PostgresStore.write` to change it")

    def _next_ids(self, kind: Kind, count: int) -> NDArray[np.int64]:
        last = postgres_schema.read_figure(self._server, f"last of {kind}")
        postgres_schema.write_about(self._server, f"last of {kind}", str(last + count).encode())
        return np.arange(last + 1, last + 1 + count, dtype=np.int64)

    def _note(self, change: bytes) -> None:
        postgres_schema.write_about(self._server, "state", next_state(self.state(), change).encode())

    def _block(self, server: Postgres, kind: Kind, last: int) -> Block:
        return self._copied(server, kind, f"WHERE id > {last} ORDER BY id LIMIT {self._rows}")

    def _copied(self, server: Postgres, kind: Kind, condition: str) -> Block:
        data = server.copy_out(f"SELECT id, {OWNER[kind]}, vector FROM {self._schema}.{kind} {condition}")
        try:
            return unpack_block(data, self._identity)
        except StoreError as error:
            raise StoreError(f"{self.where}: {error}; make the index anew") from error

    def _image(self, row: Sequence[Any]) -> ImageRecord:
        number, path, size, mark, label = row
        return ImageRecord(number, self._path(path), Stamp(size, mark), label)

    def _path(self, stored: Any) -> str:
        path = os.fsdecode(bytes(stored))
        if not is_inside(path):
            raise StoreError(
                f"{self.where}: holds the path {ascii(path)[:80]}, which is none below a folder of pictures"
            )
        return path

    def _in_order(self, found: dict[int, Any], ids: Sequence[int], kind: Kind) -> list[Any]:
        try:
            return [found[number] for number in ids]
        except KeyError as error:
            raise self._gone(kind, error.args[0]) from error

    def _gone(self, kind: Kind, number: int) -> StoreError:
        return StoreError(f"{self.where}: has no {kind} with the id {number}, or no longer; read its ids anew")


def _region(row: Sequence[Any]) -> RegionRecord:
    number, image, x0, y0, x1, y1, score = row
    return RegionRecord(number, image, Box(x0, y0, x1, y1), score)


def _image_rows(batch: Batch, ids: NDArray[np.int64], identity: Identity) -> Iterator[tuple[bytes | None, ...]]:
    vectors = pack_vectors(batch.vectors, identity)
    for number, path, entry, vector in zip(ids.tolist(), batch.paths, batch.entries, vectors, strict=True):
        label = None if entry.label is None else entry.label.encode()
        yield _integer(number), path, _integer(entry.stamp.size), entry.stamp.mark.encode(), label, vector


def _region_rows(
    batch: Batch, ids: NDArray[np.int64], owners: NDArray[np.int64], identity: Identity
) -> Iterator[tuple[bytes | None, ...]]:
    placed = [pair for entry in batch.entries for pair in zip(entry.boxes, entry.scores, strict=True)]
    vectors = pack_vectors(batch.regions, identity)
    for number, image, (box, score), vector in zip(ids.tolist(), owners.tolist(), placed, vectors, strict=True):
        sides = (struct.pack(">i", int(side)) for side in (box.x0, box.y0, box.x1, box.y1))
        yield _integer(number), _integer(image), *sides, struct.pack(">d", float(score)), vector


def _integer(value: int) -> bytes:
    return struct.pack(">q", int(value))
