"""The factorization beside its peers: time, loss and memory on the same matrices, in one process, in turns.

    [DFF_ONNX_DATA=...] python benchmarks/factorization.py [PART ...] [--all] [--plot FILE.png]

Parts: `six` (6 pictures), `features` (301 pictures, and photographs up to 100 000 rows), `large` (1.18 million rows,
synthetic), `linear` (time per row), `quality` (many seeds beside the best of a hundred starts). Without any, all of
them. `--all` adds 448 x 448 and all photographs, which takes hours because of the peers. Everything runs in one
thread. Losses are computed in float64 from the factors.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
from matrices import NETWORKS, Matrix, data, features, synthetic
from peers import Measured, Method, measure, methods
from threadpoolctl import threadpool_info, threadpool_limits

from dff_onnx import factorize
from dff_onnx.factorization.passes import improve
from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.survey import survey

FAST = ["ours", "ours, one start", "ours, hals", "authors' MU", "sklearn cd", "pytorch-grad-cam"]
SLOW = [
    *("ours", "ours, 1 pass", "ours, 2 passes", "ours, 3 passes", "ours, hals"),
    *("authors' MU, 50 steps", "authors' MU", "authors' MU in torch, 50 steps", "authors' MU in torch"),
    *("sklearn cd, 10 steps", "sklearn cd", "sklearn mu", "pytorch-grad-cam", "sklearn MiniBatchNMF"),
]
LARGE = [
    *("ours", "ours, 1 pass", "ours, 2 passes", "ours, 3 passes"),
    *("sklearn cd, 10 steps", "authors' MU, 50 steps", "authors' MU in torch, 50 steps"),
]


def main() -> int:
    """Prints one table for each matrix and rank."""
    arguments = _arguments()
    print(_machine())
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        scratch = Path(folder)
        parts: dict[str, Callable[[], None]] = {
            "six": lambda: six(scratch),
            "features": lambda: real(scratch, arguments.all),
            "large": lambda: large(arguments.plot),
            "linear": linear,
            "quality": lambda: quality(scratch),
        }
        for part in arguments.parts or parts:
            parts[part]()
    return 0


def six(scratch: Path) -> None:
    """Six pictures: nothing may cost a person's patience."""
    for name, A in _features(scratch, [("icoseg/images", 224, 6)]):
        for k in range(1, 7):
            _table(f"{name}, k={k}", measure(A, k, methods(FAST), 7))


def real(scratch: Path, everything: bool) -> None:
    """Features of real networks."""
    sets: list[tuple[str, int, int | None]] = [("photos", 224, None), ("icoseg/images", 224, None)]
    if everything:
        sets += [("icoseg/images", 448, None), ("photos", 448, None)]
    for name, A in _features(scratch, sets, networks=NETWORKS[:2]):
        A = A if everything else A[:100_000]
        for k in (3, 5, 10):
            _table(f"{name}, k={k}", measure(A, k, methods(SLOW), 3))


def large(plot: Path | None) -> None:
    """The matrix of 6000 synthetic pictures."""
    A = synthetic(6000)
    found = measure(A, 5, methods(LARGE), 3)
    _table(f"synthetic {A.shape[0]} x {A.shape[1]}, k=5", found)
    started = time.perf_counter()
    factorize(A, 5, threads=1)
    one = time.perf_counter() - started
    started = time.perf_counter()
    factorize(A, 5, threads=2)
    print(f"wall time: one thread {one:.2f} s, two {time.perf_counter() - started:.2f} s")
    if plot is not None:
        _plot(A[: 500 * 196], plot)


def linear() -> None:
    """What every row costs: the survey and two passes. The race of the starts costs the same whatever N is."""
    A, W = synthetic(5120), np.random.default_rng(0).random((5, 512))
    print("\n### Survey and two passes, k=5")
    for rows in (10_000, 30_000, 100_000, 300_000, 1_000_000):
        part, Ht, best = rows_of(A[:rows]), np.empty((5, rows), np.float32), np.inf
        for _ in range(7):
            started = time.process_time()
            survey(part, 5, 0)
            improve(part, W, Ht, cold=True)
            improve(part, W, Ht)
            best = min(best, time.process_time() - started)
        print(f"{rows:>9} rows  {best:7.4f} s  {best / rows * 1e6:.3f} us a row", flush=True)


def quality(scratch: Path) -> None:
    """Ten seeds beside the best of runs with a hundred starts and a hundredth of the tolerance."""
    matrices = [("synthetic", synthetic(500)), ("synthetic, rows of unit length", _unit_rows(synthetic(200)))]
    matrices += [(name, A[:100_000]) for name, A in _features(scratch, [("photos", 224, None)])]
    everything = []
    print("\n### Gap to the best known, percent of the loss: median and worst of ten seeds")
    for name, A in matrices:
        for k in (1, 3, 5, 10, 20):
            seeds = [factorize(A, k, seed=seed, threads=1).loss for seed in range(10)]
            best = min([factorize(A, k, seed=100 + s, starts=100, tol=2e-7, threads=1).loss for s in range(3)] + seeds)
            gaps = (np.asarray(seeds) / best - 1) * 100
            everything += gaps.tolist()
            print(f"{name}, k={k:<3} best {best:.7f}  median {np.median(gaps):.4f}  worst {gaps.max():.4f}", flush=True)
    print(f"all: median {np.median(everything):.4f}, worst {max(everything):.4f}")


def _features(
    scratch: Path, sets: list[tuple[str, int, int | None]], networks: tuple[str, ...] = NETWORKS
) -> Iterator[tuple[str, Matrix]]:
    root = data()
    if root is None:
        print("\nDFF_ONNX_DATA is unset: features of real networks are left out")
        return
    for folder, size, images in sets:
        for network in networks:
            A = features(network, root / folder, size, images, scratch)
            yield f"{network} at {size}, {images or 'all'} of {folder}", A


def _unit_rows(A: Matrix) -> Matrix:
    rows: Matrix = A / np.maximum(np.linalg.norm(A, axis=1, keepdims=True), 1e-9)
    return rows


def _table(title: str, found: dict[str, Measured]) -> None:
    best, own = min(one.loss for one in found.values()), found["ours"].seconds
    print(f"\n### {title}\n{'':<32}    CPU s   x ours        loss   gap %    MiB")
    for name, one in found.items():
        gap = (one.loss / best - 1) * 100
        times = f"{one.seconds:8.4f} {one.seconds / own:8.2f}"
        print(f"{name:<32} {times}   {one.loss:.7f} {gap:7.4f} {one.memory:6.0f}", flush=True)


def _plot(A: Matrix, file: Path) -> None:
    """Loss against time: one curve for each method, one point for each number of steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from peers import minibatch, ours, sklearn

    curves: dict[str, list[Method]] = {
        "coreset": [ours(max_iter=n, tol=0.0) for n in (1, 2, 3, 4)],
        "hals": [ours(solver="hals", max_iter=n, tol=0.0) for n in (1, 2, 4, 8, 16)],
        "authors' MU": [ours(solver="mu", max_iter=n, tol=0.0) for n in (10, 20, 50, 100, 200)],
        "scikit-learn cd": [sklearn(init="nndsvda", max_iter=n, tol=0) for n in (2, 5, 10, 20, 40)],
        "pytorch-grad-cam's call": [sklearn(True, init="random", max_iter=n, tol=0) for n in (5, 10, 20, 40)],
        "scikit-learn MiniBatchNMF": [minibatch],
    }
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    points: dict[str, list[tuple[float, float]]] = {}
    for name, steps in curves.items():
        for method in steps:
            one = measure(A, 5, {"this": method}, 1)["this"]
            points.setdefault(name, []).append((one.seconds, one.loss))
    best = min(loss for curve in points.values() for _, loss in curve)
    for name, curve in points.items():
        seconds, losses = zip(*curve, strict=True)
        axes.plot(seconds, [max(loss / best - 1, 1e-7) * 100 for loss in losses], "o-", ms=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="CPU seconds, one thread", ylabel="loss above the best, %")
    axes.set_title(f"{A.shape[0]} x {A.shape[1]}, k=5", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)
    print(f"plot: {file.name}")


def _machine() -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    blas = ", ".join(f"{library['internal_api']} {library['version']} {library['architecture']}" for library in found)
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    return f"{time.strftime('%Y-%m-%d')}, {cores}, Python {platform.python_version()}, {versions}, {blas}, one thread"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["six", "features", "large", "linear", "quality", []])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
