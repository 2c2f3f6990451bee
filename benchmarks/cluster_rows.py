"""A factorization of rows that no machine could hold: blocks made on the fly by Dask workers, memory watched.

    python benchmarks/cluster_rows.py --rows 1e8

Rows are sparse non-negative mixtures of a few concepts with noise, made anew from a seed whenever a pass asks for them.
What stays are coefficients, which Dask writes to disk beyond `--memory` of a worker. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

from dff_onnx.cluster.rows import DaskRows, Loaded
from dff_onnx.factorization import factorize

PART = 64 * 2048  # rows
PAGE = os.sysconf("SC_PAGE_SIZE")


def made(number: int, rows: int, channels: int, concepts: int) -> Loaded:
    """A part: its number is its seed."""
    rng, shared = np.random.Generator(np.random.SFC64(number)), np.random.default_rng(0)
    W = shared.gamma(0.3, 1, (concepts, channels)).astype(np.float32)
    H = np.maximum(rng.standard_normal((rows, concepts), np.float32), 0) ** 2
    A = H @ W
    A += 0.1 * rng.random((rows, channels), np.float32)
    return Loaded(A)


def resident(process: int) -> int:
    """Bytes of a process in memory; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


class Watch(threading.Thread):
    """Notes the memory of processes, in MiB, every few seconds."""

    def __init__(self, processes: list[int], every: float) -> None:
        super().__init__(daemon=True)
        self.processes, self.every, self.noted, self.over = processes, every, list[list[int]](), threading.Event()

    def run(self) -> None:
        while not self.over.wait(self.every):
            self.noted.append([resident(one) >> 20 for one in self.processes])


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("-k", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="900MB", help="of a worker")
    asked = parser.parse_args()
    total = int(asked.rows)
    sizes = [min(PART, total - start) for start in range(0, total, PART)]
    sources = [partial(made, i, size, asked.channels, 2 * asked.k) for i, size in enumerate(sizes)]
    with (
        LocalCluster(
            n_workers=asked.workers, threads_per_worker=1, memory_limit=asked.memory, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        workers = list(client.run(os.getpid).values())
        watch = Watch([os.getpid(), *workers], max(0.5, total / 1e8 * 5))
        watch.start()
        begun = time.perf_counter()
        rows = DaskRows.opened(client, sources, keep=False)
        opened = time.perf_counter() - begun
        found = factorize(rows, asked.k)
        seconds = time.perf_counter() - begun
        watch.over.set()
    quarters = np.array_split(np.asarray(watch.noted), 4)
    print(
        json.dumps(
            {
                "rows": total,
                "channels": asked.channels,
                "k": asked.k,
                "parts": len(sizes),
                "workers": asked.workers,
                "memory_limit": asked.memory,
                "seconds": round(seconds, 1),
                "seconds_to_count": round(opened, 1),
                "passes": found.n_iter,
                "loss": found.loss,
                "converged": found.converged,
                "mib_of_driver_and_workers_by_quarter": [q.max(axis=0).tolist() for q in quarters if len(q)],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
