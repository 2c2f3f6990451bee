"""Reads all of an index in a SQLite file and says what is wrong."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dff_onnx.errors import StoreError
from dff_onnx.store.identity import Identity
from dff_onnx.store.packing import unpack
from dff_onnx.store.protocol import Block, Kind
from dff_onnx.store.schema import image_checksum, read_about, read_state
from dff_onnx.store.sqlite_blocks import COLUMNS
from dff_onnx.store.sqlite_records import IMAGE, REGION, image_record, region_record

MOST = 20  # clauses: who has that many needs no more
MEMBERS = {"images": "SELECT id, id FROM images ORDER BY id", "regions": "SELECT id, image FROM regions ORDER BY id"}
TABLES = {"images": "image_blocks", "regions": "region_blocks"}


def problems(connection: sqlite3.Connection, identity: Identity) -> tuple[str, ...]:
    """What is wrong, a clause each; empty for a sound file."""
    looks: list[Callable[[], Iterator[str]]] = [
        lambda: _file(connection),
        lambda: _about(connection),
        lambda: _rows(connection),
        lambda: _vectors(connection, "images", identity),
        lambda: _vectors(connection, "regions", identity),
    ]
    connection.execute("BEGIN")  # one state of the file, whoever writes
    try:
        found = [clause for look in looks for clause in itertools.islice(_outspoken(look), MOST)]
    finally:
        connection.rollback()
    return tuple(found[:MOST])


def _outspoken(look: Callable[[], Iterator[str]]) -> Iterator[str]:
    try:
        yield from look()
    except (StoreError, sqlite3.DatabaseError, TypeError, ValueError, OverflowError) as error:
        yield str(error)


def _file(connection: sqlite3.Connection) -> Iterator[str]:
    for pragma in (f"integrity_check({MOST})", "foreign_key_check"):
        for row in connection.execute(f"PRAGMA {pragma}"):
            if row != ("ok",):
                yield f"SQLite says: {' '.join(map(str, row)).removeprefix('*** in database main ***').strip()}"


def _about(connection: sqlite3.Connection) -> Iterator[str]:
    read_state(connection)
    for (name,) in connection.execute("SELECT name FROM about").fetchall():
        try:
            read_about(connection, name)
        except StoreError as error:
            yield str(error)


def _rows(connection: sqlite3.Connection) -> Iterator[str]:
    """The checksums of images, and that every region has its image."""
    regions = connection.execute(f"SELECT {REGION} FROM regions ORDER BY image, id")
    groups = itertools.groupby(regions, key=lambda row: row[1])
    owner, group = _next(groups)
    for *image, checksum in connection.execute(f"SELECT {IMAGE}, checksum FROM images ORDER BY id"):
        while owner is not None and owner < image[0]:
            yield f"the regions of an image with id {owner} have no image"
            owner, group = _next(groups)
        own = []
        if owner == image[0]:
            own, (owner, group) = group, _next(groups)
        if image_checksum(image, own) != checksum:
            yield f"the image with id {image[0]} or one of its regions is damaged"
        image_record(image)
        for row in own:
            region_record(row)
    if owner is not None:
        yield f"the regions of an image with id {owner} have no image"


def _next(groups: Iterator[tuple[Any, Iterator[Any]]]) -> tuple[Any, list[Any]]:
    owner, rows = next(groups, (None, iter(())))
    return owner, list(rows)


def _vectors(connection: sqlite3.Connection, kind: Kind, identity: Identity) -> Iterator[str]:
    """The checksums of blocks, and that they hold a vector of each member and of nothing else."""
    members = connection.execute(MEMBERS[kind])
    before = 0
    for row in connection.execute(f"SELECT {COLUMNS} FROM {TABLES[kind]} ORDER BY first"):
        try:
            block = unpack(row, identity)
        except StoreError as error:
            yield str(error)
            return
        if block.ids[0] <= before or not _same(block, members.fetchmany(len(block.ids))):
            yield f"the vectors of its {kind} and its {kind} do not agree, from id {block.ids[0]} on"
            return
        if not np.isfinite(block.vectors).all():
            yield f"the block of vectors that begins with id {block.ids[0]} holds values that are not finite"
        before = int(block.ids[-1])
    if members.fetchone() is not None:
        yield f"some of its {kind} have no vector"


def _same(block: Block, members: list[tuple[int, int]]) -> bool:
    wanted = np.stack([block.ids, block.images], axis=1)
    return len(members) == len(wanted) and bool((np.asarray(members) == wanted).all())
