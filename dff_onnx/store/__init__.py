"""On disk: vectors of images and regions (one protocol, in a SQLite file or on a PostgreSQL server); a run's rows."""

from dff_onnx.store.entries import Entry, Stamp
from dff_onnx.store.identity import Identity
from dff_onnx.store.opening import open_store, shown_address, stored_identity, write_store
from dff_onnx.store.postgres_store import PostgresStore
from dff_onnx.store.protocol import Block, Counts, ImageRecord, Kind, RegionRecord, VectorStore, check_not_empty
from dff_onnx.store.row_store import RowStore
from dff_onnx.store.sqlite_store import SqliteStore

__all__ = [
    "Block",
    "Counts",
    "Entry",
    "Identity",
    "ImageRecord",
    "Kind",
    "PostgresStore",
    "RegionRecord",
    "RowStore",
    "SqliteStore",
    "Stamp",
    "VectorStore",
    "check_not_empty",
    "open_store",
    "shown_address",
    "stored_identity",
    "write_store",
]
