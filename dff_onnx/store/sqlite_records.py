"""Images and their regions as rows of a SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError
from dff_onnx.records import Box
from dff_onnx.store.entries import Batch, Stamp, is_inside
from dff_onnx.store.protocol import ImageRecord, Kind, RegionRecord
from dff_onnx.store.schema import image_checksum

IMAGE = "id, path, size, mark, label"
REGION = "id, image, x0, y0, x1, y1, score"
AT_ONCE = 900  # SQLite's older limit of variables in a statement is 999


def insert(connection: sqlite3.Connection, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Writes the rows of a batch; the ids of its images and of its regions."""
    ids = _next_ids(connection, "images", len(batch.paths))
    region_ids = _next_ids(connection, "regions", len(batch.regions))
    images, regions = [], []
    numbers = iter(region_ids.tolist())
    for number, path, entry in zip(ids.tolist(), batch.paths, batch.entries, strict=True):
        of_image = [
            (next(numbers), number, int(box.x0), int(box.y0), int(box.x1), int(box.y1), float(score))
            for box, score in zip(entry.boxes, entry.scores, strict=True)
        ]
        image = (number, path, int(entry.stamp.size), entry.stamp.mark, entry.label)
        images.append((*image, image_checksum(image, of_image)))
        regions += of_image
    connection.executemany(f"INSERT INTO images ({IMAGE}, checksum) VALUES (?, ?, ?, ?, ?, ?)", images)
    connection.executemany(f"INSERT INTO regions ({REGION}) VALUES (?, ?, ?, ?, ?, ?, ?)", regions)
    return ids, region_ids


def delete(connection: sqlite3.Connection, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deletes rows of images and of their regions; the ids of these regions, rising."""
    regions = [number for (number,) in _among(connection, "SELECT id FROM regions WHERE image", images.tolist())]
    pairs = (("regions", regions), ("images", images.tolist()))
    for table, ids in pairs:
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids])
    return np.sort(np.asarray(regions, np.int64))


def ids_of(connection: sqlite3.Connection, paths: Sequence[bytes]) -> NDArray[np.int64]:
    """The ids, rising, of those paths that are there."""
    found = [number for (number,) in _among(connection, "SELECT id FROM images WHERE path", paths)]
    return np.sort(np.asarray(found, np.int64))


def images_with(connection: sqlite3.Connection, ids: Sequence[int]) -> list[ImageRecord]:
    """In the order of the ids; StoreError for one that is not there."""
    found = map(image_record, _among(connection, f"SELECT {IMAGE} FROM images WHERE id", ids))
    return _in_order({record.id: record for record in found}, ids, "images")


def regions_with(connection: sqlite3.Connection, ids: Sequence[int]) -> list[RegionRecord]:
    """In the order of the ids; StoreError for one that is not there."""
    found = map(region_record, _among(connection, f"SELECT {REGION} FROM regions WHERE id", ids))
    return _in_order({record.id: record for record in found}, ids, "regions")


def stamps(connection: sqlite3.Connection) -> dict[str, Stamp]:
    """By path, sorted by the paths' bytes."""
    rows = connection.execute("SELECT path, size, mark FROM images ORDER BY path")
    return {path_of(path): Stamp(int(size), mark) for path, size, mark in rows}


def image_record(row: Sequence[Any]) -> ImageRecord:
    """A row of `images` as a record; StoreError when it cannot be one."""
    number, path, size, mark, label = row
    if not isinstance(mark, str) or not isinstance(label, str | None) or type(size) is not int:
        raise StoreError(f"the row of the image with id {number} is damaged")
    return ImageRecord(number, path_of(path), Stamp(size, mark), label)


def region_record(row: Sequence[Any]) -> RegionRecord:
    """A row of `regions` as a record; StoreError when it cannot be one."""
    number, image, x0, y0, x1, y1, score = row
    if not all(type(side) is int for side in (image, x0, y0, x1, y1)) or type(score) is not float:
        raise StoreError(f"the row of the region with id {number} is damaged")
    return RegionRecord(number, image, Box(x0, y0, x1, y1), score)


def path_of(stored: Any) -> str:
    """A path as text; StoreError when it is none below a folder."""
    path = os.fsdecode(stored) if isinstance(stored, bytes) else ""
    if not is_inside(path):
        raise StoreError(f"holds the path {ascii(stored)[:80]}, which is none below a folder of pictures")
    return path


def _in_order(found: dict[int, Any], ids: Sequence[int], what: Kind) -> list[Any]:
    try:
        return [found[number] for number in ids]
    except KeyError as error:
        raise StoreError(f"has no {what} with the id {error}, or no longer; read its ids anew") from error


def _next_ids(connection: sqlite3.Connection, table: Kind, count: int) -> NDArray[np.int64]:
    """Larger than any that there ever was."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    first = 1 + (row[0] if row else 0)
    return np.arange(first, first + count, dtype=np.int64)


def _among(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Rows of `query IN (values)`, in no order."""
    for start in range(0, len(values), AT_ONCE):
        part = values[start : start + AT_ONCE]
        yield from connection.execute(f"{query} IN ({','.join('?' * len(part))})", [_plain(v) for v in part])


def _plain(value: Any) -> Any:
    return value if isinstance(value, bytes) else int(value)
