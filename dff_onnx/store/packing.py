"""Vectors as bytes of a SQLite file and back, without a copy, with a checksum over all of it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError
from dff_onnx.store.identity import Identity
from dff_onnx.store.protocol import Block

BLOCK_BYTES = 4 * 2**20  # read at some GB/s, written anew in a few milliseconds
MOST_ROWS = 4096
LEAST_ROWS = 64

Row = tuple[int, int, bytes, bytes, bytes, int]


def rows_per_block(identity: Identity) -> int:
    """So many vectors make a full block: 4 MiB or 4096 rows, whichever is less."""
    return max(LEAST_ROWS, min(MOST_ROWS, BLOCK_BYTES // identity.row_bytes))


def pack(block: Block) -> Row:
    """First id, rows, ids, images, vectors, checksum: what a row of the table holds."""
    ids, images = (np.ascontiguousarray(figures, "<i8").tobytes() for figures in (block.ids, block.images))
    stored = block.vectors.dtype.newbyteorder("<")
    vectors = np.ascontiguousarray(block.vectors, stored).tobytes()
    return int(block.ids[0]), len(block.ids), ids, images, vectors, checksum(ids, images, vectors)


def unpack(row: Sequence[Any], identity: Identity) -> Block:
    """The block of a row, after its sizes and its checksum were judged. Its arrays are views of the bytes.

    Raises:
        StoreError: when they do not agree.
    """
    first, rows, ids, images, vectors, found = row
    try:
        sizes_agree = len(ids) == len(images) == 8 * rows and len(vectors) == identity.row_bytes * rows > 0
        if not sizes_agree or checksum(ids, images, vectors) != found:
            raise StoreError(f"the block of vectors that begins with id {first!r} is damaged")
        shape = (rows, identity.dimensions)
        matrix = np.frombuffer(vectors, np.dtype(identity.dtype).newbyteorder("<")).reshape(shape)
        block = Block(np.frombuffer(ids, "<i8"), np.frombuffer(images, "<i8"), matrix)
    except (TypeError, ValueError) as error:  # SQLite's columns take values of any type
        raise StoreError(f"the block of vectors that begins with id {ascii(first)[:40]} is damaged") from error
    if block.ids[0] != first or (np.diff(block.ids) <= 0).any():
        raise StoreError(f"the block of vectors that begins with id {first} has ids out of order")
    return block


def checksum(*parts: bytes) -> int:
    """CRC-32 of the parts, one after the other."""
    total = 0
    for part in parts:
        total = zlib.crc32(part, total)
    return total


def joined(blocks: Sequence[Block]) -> Block:
    """One block of several whose ids rise."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([block.ids for block in blocks]),
        np.concatenate([block.images for block in blocks]),
        np.concatenate([block.vectors for block in blocks]),
    )


def cut(block: Block, rows: int) -> Iterator[Block]:
    """The block in pieces of at most so many rows."""
    for start in range(0, len(block.ids), rows):
        part = slice(start, start + rows)
        yield Block(block.ids[part], block.images[part], block.vectors[part])


def without(block: Block, ids: NDArray[np.int64]) -> Block:
    """The block without some of its ids."""
    kept = ~np.isin(block.ids, ids)
    return Block(block.ids[kept], block.images[kept], block.vectors[kept])
