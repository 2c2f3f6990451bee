"""COPY's binary form, and pgvector's in it, packed and read by NumPy.

Sources: PostgreSQL's manual, COPY, "Binary Format"; pgvector's `vector_send` and `halfvec_send`: two bytes of
dimensions, two that are zero, the values, all big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError
from dff_onnx.store.identity import Identity
from dff_onnx.store.protocol import Block

START = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"


def pack_rows(rows: Iterable[Sequence[bytes | None]]) -> bytes:
    """Rows of values that are encoded already.

    >>> pack_rows([(b"ab", None)])[len(START) :]
    b'\\x00\\x02\\x00\\x00\\x00\\x02ab\\xff\\xff\\xff\\xff\\xff\\xff'
    """
    parts = [START]
    for row in rows:
        parts.append(struct.pack(">h", len(row)))
        for value in row:
            parts += (NULL,) if value is None else (struct.pack(">i", len(value)), value)
    return b"".join([*parts, END])


def pack_vectors(vectors: NDArray[Any], identity: Identity) -> list[bytes]:
    """Each row of `(n, d)` as pgvector takes it."""
    packed = np.zeros(len(vectors), _vector(identity))
    packed["dimensions"] = identity.dimensions
    packed["values"] = vectors
    data = packed.tobytes()
    size = packed.dtype.itemsize
    return [data[start : start + size] for start in range(0, len(data), size)]


def unpack_block(data: bytes, identity: Identity) -> Block:
    """Rows of `id, image, vector`, none of them null.

    Raises:
        StoreError: when the server sent something else.
    """
    row = np.dtype([("columns", ">i2"), *_column("id", ">i8"), *_column("image", ">i8"), *_vector_column(identity)])
    body = data[len(START) : -len(END)]
    if not data.startswith(START) or not data.endswith(END) or len(body) % row.itemsize:
        raise StoreError("holds vectors of other dimensions than it says")
    rows = np.frombuffer(body, row)
    if len(rows) and not (rows["vector"]["dimensions"] == identity.dimensions).all():
        raise StoreError("holds vectors of other dimensions than it says")
    values = np.ascontiguousarray(rows["vector"]["values"], np.dtype(identity.dtype).newbyteorder("="))
    return Block(rows["id"].astype(np.int64), rows["image"].astype(np.int64), values)


def _column(name: str, kind: Any) -> list[tuple[str, Any]]:
    return [(f"{name} bytes", ">i4"), (name, kind)]


def _vector_column(identity: Identity) -> list[tuple[str, Any]]:
    return _column("vector", _vector(identity))


def _vector(identity: Identity) -> np.dtype[Any]:
    value = np.dtype(identity.dtype).newbyteorder(">")
    return np.dtype([("dimensions", ">i2"), ("zero", ">i2"), ("values", value, (identity.dimensions,))])
