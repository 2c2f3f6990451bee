"""Our solvers beside scikit-learn's on one matrix, in one process, in turns; each loss beside its time.

    python benchmarks/factorization.py [ROWS] [CHANNELS]

The loss is computed in float64 from the factors of each: what scikit-learn says of float32 matrices is off by up to
a thousandth.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import NMF

from dff_onnx import factorize

Factors = tuple[NDArray[Any], NDArray[Any]]
ROUNDS = 3


def main() -> None:
    """Prints one line per rank and method."""
    rows, channels = (int(word) for word in (sys.argv[1:3] or ("20000", "512")))
    A = activations(rows, channels)
    print(f"A {rows} x {channels}, float32; CPU seconds, best of {ROUNDS}")
    for k in (1, 3, 5, 10):
        methods: dict[str, Callable[[int], Factors]] = {
            "hals": lambda k: ours(A, k, "hals"),
            "mu (authors')": lambda k: ours(A, k, "mu"),
            "scikit-learn cd": lambda k: sklearn(A, k),
        }
        best: dict[str, tuple[float, float]] = {}
        for _ in range(ROUNDS):
            for name, method in methods.items():
                started = time.process_time()
                H, W = method(k)
                best[name] = min(best.get(name, (np.inf, 0.0)), (time.process_time() - started, loss(A, H, W)))
        for name, (seconds, reached) in best.items():
            print(f"k={k:<3} {name:<16} {seconds:7.3f} s  loss {reached:.7f}  x{seconds / best['hals'][0]:.1f}")


def activations(rows: int, channels: int) -> NDArray[np.float32]:
    """Sparse mixtures of twelve concepts, cut off at zero."""
    rng = np.random.default_rng(0)
    mixed = rng.gamma(0.3, 1, (rows, 12)) @ rng.gamma(0.3, 1, (12, channels))
    return np.maximum(mixed + rng.normal(0, 1, (rows, channels)) - 1, 0).astype(np.float32)


def ours(A: NDArray[np.float32], k: int, solver: Any) -> Factors:
    """Our factors."""
    found = factorize(A, k, solver=solver)
    return found.H, found.W


def sklearn(A: NDArray[np.float32], k: int) -> Factors:
    """scikit-learn's, by its defaults."""
    model = NMF(k, init="nndsvda", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stops at its limit is part of the comparison
        H = model.fit_transform(A)
    return H, model.components_


def loss(A: NDArray[Any], H: NDArray[Any], W: NDArray[Any]) -> float:
    """`||A-HW||^2 / ||A||^2` in float64."""
    blocks = [slice(i, i + 2048) for i in range(0, len(A), 2048)]
    rest = sum(float(((A[b].astype(np.float64) - H[b].astype(np.float64) @ W) ** 2).sum()) for b in blocks)
    return rest / sum(float((A[b].astype(np.float64) ** 2).sum()) for b in blocks)


if __name__ == "__main__":
    main()
