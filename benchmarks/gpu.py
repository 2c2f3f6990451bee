"""The factorization on a GPU beside the least time that its memory allows.

    python benchmarks/gpu.py [IMAGES]

Times are of a warm device, by its own clock, the best of a few rounds. The floor is what one reading of `A` takes at
the bandwidth that a copy on this device reaches; a solver reads `A` once for its survey and once for every pass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from dff_onnx import factorize
from dff_onnx.arrays import cuda_present
from dff_onnx.factorization.passes import improve
from dff_onnx.factorization.rows import rows_of

ROUNDS, CHANNELS = 5, 512


def main() -> int:
    """Prints floor, achieved and ratio for one pass and for the whole factorization."""
    if not cuda_present():
        print("no CUDA device, or CuPy is missing: nothing was measured", file=sys.stderr)
        return 6
    import cupy

    images = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    A = activations(images * 196)
    copy = seconds(A.copy)
    bandwidth = 2 * A.nbytes / copy
    print(f"{name}, CuPy {cupy.__version__}; A {A.shape[0]} x {A.shape[1]}; copies at {bandwidth / 1e9:.0f} GB/s")
    for dtype in ("float32", "float16"):
        stored = A.astype(dtype)
        reading = stored.nbytes / bandwidth
        for k in (1, 5, 10, 20):
            W = cupy.asarray(np.random.default_rng(0).random((k, CHANNELS)))
            Ht = cupy.zeros((k, A.shape[0]), cupy.float32)
            one = seconds(partial(improve, rows_of(stored), W, Ht))
            found = factorize(stored, k)
            whole = seconds(partial(factorize, stored, k))
            floor = reading * (found.n_iter + 1)
            print(
                f"{dtype} k={k:<3} pass {one * 1e3:8.2f} ms (floor {reading * 1e3:.2f}, x{one / reading:.1f})   "
                f"all {whole * 1e3:8.1f} ms (floor {floor * 1e3:.2f}, x{whole / floor:.1f})   "
                f"{found.n_iter} passes, loss {found.loss:.6f}"
            )
    return 0


def activations(rows: int):  # type: ignore[no-untyped-def]
    """Sparse mixtures of forty concepts, made on the device."""
    import cupy

    rng = cupy.random.default_rng(0)
    W = rng.gamma(0.3, 1, (40, CHANNELS)).astype(cupy.float32)
    A = cupy.empty((rows, CHANNELS), cupy.float32)
    for start in range(0, rows, 65_536):
        part = A[start : start + 65_536]
        part[:] = rng.gamma(0.1, 1, (len(part), 40)).astype(cupy.float32) @ W
        part += 0.3 * rng.standard_normal((len(part), CHANNELS), dtype=cupy.float32) - 0.3
        cupy.maximum(part, 0, out=part)
    return A


def seconds(work: Callable[[], object]) -> float:
    """The best of a few rounds, by the device's clock."""
    import cupy

    best = float("inf")
    work()
    for _ in range(ROUNDS):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        best = min(best, cupy.cuda.get_elapsed_time(start, stop) / 1e3)
    return best


if __name__ == "__main__":
    sys.exit(main())
