"""An index of a million made-up descriptors: how quickly it fills, opens and answers, and the memory it takes.

    python benchmarks/store.py [--vectors 1000000] [--dimensions 512] [--batch 4096] [--folder DIR] [--rounds 3]

Each figure is measured in a process of its own, so that peak memory means what it says. Answers are exact, and those of
`retrieval.rank`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.records import Box, Fingerprint, Preprocessing
from dff_onnx.retrieval import rank
from dff_onnx.store import Entry, Identity, Kind, SqliteStore, Stamp, VectorStore

REGIONS = 20  # an image, where regions are indexed


def main() -> int:
    """Prints rates, seconds and MiB."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        path = Path(scratch) / "index.db"
        for name, work in (
            ("add images", partial(fill, path, arguments.vectors, arguments.dimensions, arguments.batch)),
            ("open and count", partial(opening, path)),
            *((f"100 queries, top 100, round {r}", partial(answering, path)) for r in range(arguments.rounds)),
            ("check", partial(checking, path)),
            ("delete 1 % at random", partial(deleting, path)),
            ("compact", partial(compacting, path)),
            ("add regions, 20 an image", partial(fill_regions, path, arguments.vectors // 4, arguments.dimensions)),
        ):
            print(f"{name}: {apart(work)}", flush=True)
    return 0


def apart(work: Callable[[], str]) -> str:
    """The words of some work in a new process, with its peak memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_weighed, (work,))


def fill(path: Path, count: int, dimensions: int, batch: int) -> str:
    """Adds images with one vector each."""
    vectors = _made_up(batch, dimensions)
    with SqliteStore.write(path, _identity(dimensions)) as store:
        started = time.perf_counter()
        for start in range(0, count, batch):
            entries = [
                Entry(f"folder/{number:08d}.jpg", Stamp(number, f"mtime:{number}"), vectors[number - start])
                for number in range(start, min(count, start + batch))
            ]
            store.put(entries)
        seconds = time.perf_counter() - started
    return f"{seconds:.2f} s, {count / seconds:.0f} a second, file {path.stat().st_size / 2**20:.0f} MiB"


def fill_regions(path: Path, count: int, dimensions: int) -> str:
    """Adds images with their regions to another file."""
    path = path.with_name("regions.db")
    vectors = _made_up(REGIONS, dimensions)
    boxes, scores = [Box(i, i, i + 9, i + 9) for i in range(REGIONS)], [0.5] * REGIONS
    images = count // REGIONS
    with SqliteStore.write(path, _identity(dimensions)) as store:
        started = time.perf_counter()
        for start in range(0, images, 256):
            names = range(start, min(images, start + 256))
            store.put([Entry(f"{n:08d}.jpg", Stamp(n, ""), vectors[0], vectors, boxes, scores) for n in names])
        seconds = time.perf_counter() - started
    return f"{seconds:.2f} s, {images * REGIONS / seconds:.0f} regions a second"


def opening(path: Path) -> str:
    """Opens, and opens and counts."""
    started = time.perf_counter()
    with SqliteStore.open(path) as store:
        opened = time.perf_counter() - started
        counts = store.counts()
        return f"{opened:.4f} s, with counts {time.perf_counter() - started:.3f} s ({counts.images} images)"


def answering(path: Path) -> str:
    """Opens the file and answers; the file is in the cache of the system from before."""
    started = time.perf_counter()
    with SqliteStore.open(path) as store:
        queries = _made_up(100, store.identity.dimensions, seed=1).astype(np.float32)
        ids, scores = top(store, queries, 100)
    return f"{time.perf_counter() - started:.2f} s (best {scores.max():.4f} of id {ids.flat[scores.argmax()]})"


def checking(path: Path) -> str:
    """Reads everything."""
    started = time.perf_counter()
    with SqliteStore.open(path) as store:
        wrong = store.check()
    return f"{time.perf_counter() - started:.2f} s, {len(wrong)} problems"


def deleting(path: Path) -> str:
    """Deletes every hundredth image: every block is written anew."""
    with SqliteStore.open(path) as store:
        identity, paths = store.identity, list(store.stamps())[::100]
    started = time.perf_counter()
    with SqliteStore.write(path, identity) as store:
        store.delete(paths)
    return f"{time.perf_counter() - started:.2f} s for {len(paths)}"


def compacting(path: Path) -> str:
    """Fills blocks up and gives room back."""
    with SqliteStore.open(path) as store:
        identity = store.identity
    started = time.perf_counter()
    with SqliteStore.write(path, identity) as store:
        store.compact()
    return f"{time.perf_counter() - started:.2f} s, file {path.stat().st_size / 2**20:.0f} MiB"


def top(
    store: VectorStore, queries: NDArray[np.float32], k: int, kind: Kind = "images"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids and scores `(q, k)` of the largest products with each query, the best first; of equals the lower id."""
    ids = list[NDArray[np.int64]]()

    def rows() -> Iterator[NDArray[Any]]:
        for block in store.blocks(kind):
            ids.append(block.ids)
            yield block.vectors

    ranking = rank(queries, rows(), k)
    return np.concatenate(ids)[ranking.indices], ranking.scores


def _made_up(count: int, dimensions: int, seed: int = 0) -> NDArray[Any]:
    rows = np.random.default_rng(seed).standard_normal((count, dimensions))
    unit: NDArray[Any] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return unit


def _identity(dimensions: int) -> Identity:
    return Identity(Fingerprint("00" * 32, "made up", Preprocessing()), "made up", dimensions)


def _weighed(work: Callable[[], str]) -> str:
    before = time.process_time()
    words = work()
    spent = time.process_time() - before  # what counts where others use the cores, too
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return f"{words}; {spent:.2f} s of CPU, peak memory {peak:.0f} MiB"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--folder", type=Path, help="where the file is made")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
