"""The blocks of one kind in a SQLite file. A row's key is its first id, and ids only rise: blocks never overlap.

What leaves is cut out at once: a block is written anew without it. There is nothing to mark, and nothing to pass over.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError
from dff_onnx.store.identity import Identity
from dff_onnx.store.packing import cut, joined, pack, unpack, without
from dff_onnx.store.protocol import Block, Kind

COLUMNS = "first, rows, ids, images, vectors, checksum"


class SqliteBlocks:
    """Reads and writes blocks of a kind; transactions are the caller's.

    Args:
        connection: to the file.
        kind: of vectors.
        identity: of the index.
        full: rows of a full block.
    """

    def __init__(self, connection: sqlite3.Connection, kind: Kind, identity: Identity, full: int) -> None:
        self._connection = connection
        self._kind = kind
        self._table = {"images": "image_blocks", "regions": "region_blocks"}[kind]
        self._identity = identity
        self._full = full

    def __iter__(self) -> Iterator[Block]:
        """All blocks, one after the other, of one state of the file."""
        for row in self._connection.execute(f"SELECT {COLUMNS} FROM {self._table} ORDER BY first"):
            yield unpack(row, self._identity)

    def append(self, block: Block) -> None:
        """Adds rows whose ids are larger than all that are there.

        A last block that has no more rows than come is taken along: so each row is written anew a few times at most,
        however small the batches are.
        """
        pending = block
        while (last := self._last()) is not None and last[1] <= min(len(pending.ids), self._full - 1):
            pending = joined([self._take(last[0]), pending])
        for part in cut(pending, self._full):
            self._write(part)

    def remove(self, ids: NDArray[np.int64]) -> None:
        """Cuts rows out; `ids` must rise."""
        for first, there in self._by_block(ids):
            rest = without(self._take(first), there)
            if len(rest.ids):
                self._write(rest)

    def pick(self, ids: Sequence[int]) -> NDArray[Any]:
        """Vectors in the order of the ids.

        Raises:
            StoreError: for an id that is not there.
        """
        wanted = np.asarray(ids, np.int64)
        found = np.empty((len(wanted), self._identity.dimensions), self._identity.dtype)
        order = np.argsort(wanted, kind="stable")
        done = 0
        for first, there in self._by_block(wanted[order]):
            block = self._read(first)
            places = np.minimum(np.searchsorted(block.ids, there), len(block.ids) - 1)
            if (block.ids[places] != there).any():
                break
            found[order[done : done + len(there)]] = block.vectors[places]
            done += len(there)
        if done < len(wanted):
            gone = wanted[order[done]]
            raise StoreError(f"has no {self._kind} with the id {gone}, or no longer; read its ids anew")
        return found

    def merge(self) -> None:
        """Fills blocks up that have room, so that all but the last are full."""
        pending: list[Block] = []
        for first, rows in self._connection.execute(f"SELECT first, rows FROM {self._table} ORDER BY first").fetchall():
            if rows == self._full and not pending:
                continue
            pending.append(self._take(first))
            *full, rest = cut(joined(pending), self._full)
            for part in full:
                self._write(part)
            pending = [rest]
        for part in pending:
            self._write(part)

    def vector_bytes(self) -> int:
        """Bytes of all vectors."""
        (rows,) = self._connection.execute(f"SELECT coalesce(sum(rows), 0) FROM {self._table}").fetchone()
        return int(rows) * self._identity.row_bytes

    def _by_block(self, ids: NDArray[np.int64]) -> Iterable[tuple[int, NDArray[np.int64]]]:
        """Rising ids, by the block that has them if one has; those before all blocks are left out."""
        firsts = [first for (first,) in self._connection.execute(f"SELECT first FROM {self._table} ORDER BY first")]
        start = 0
        while start < len(ids):
            place = bisect_right(firsts, int(ids[start]))
            if place == 0:
                return
            end = len(ids) if place == len(firsts) else int(np.searchsorted(ids, firsts[place]))
            yield firsts[place - 1], ids[start:end]
            start = end

    def _last(self) -> tuple[int, int] | None:
        query = f"SELECT first, rows FROM {self._table} ORDER BY first DESC LIMIT 1"
        found: tuple[int, int] | None = self._connection.execute(query).fetchone()
        return found

    def _read(self, first: int) -> Block:
        query = f"SELECT {COLUMNS} FROM {self._table} WHERE first = ?"
        return unpack(self._connection.execute(query, (first,)).fetchone(), self._identity)

    def _take(self, first: int) -> Block:
        block = self._read(first)
        self._connection.execute(f"DELETE FROM {self._table} WHERE first = ?", (first,))
        return block

    def _write(self, block: Block) -> None:
        self._connection.execute(f"INSERT INTO {self._table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", pack(block))
