"""CUDA kernels, compiled by CuPy on first use; their sources lie beside this file.

What a thread block does between two barriers is written once, for each thread: with other words for `EACH` and `END`
the same sources are plain C++, which the tests compile and compare with NumPy where there is no GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from dff_onnx.arrays.namespace import Array

THREADS = 256
MOST_CONCEPTS = 32  # of the fused pass; a thread keeps a row of coefficients in registers
SHARED_FLOATS = 12_288  # the 48 KiB that every GPU has for a thread block
BLOCKS = 1024  # of rows in one launch, which bounds what they leave behind

ON_GPU = f"""
#include <cuda_fp16.h>
#define THREADS {THREADS}
#define KERNEL __global__
#define BLOCK_INDEX blockIdx.x
#define EACH(thread) {{ const int thread = threadIdx.x;
#define END }} __syncthreads();
#define SHARED(type, name) extern __shared__ type name[]
#define PRIVATE(type, name, size) type name[size]
#define MINE(name, thread) name
#define UNROLL(n) _Pragma("unroll (K <= 16 ? 64 : 1)")
"""


def source(name: str) -> str:
    """The text of a kernel, without the words that make it CUDA or C++."""
    return (resources.files("dff_onnx.arrays") / f"{name}.cu").read_text(encoding="utf-8")


def coordinate_descent_kernel(X: Array, B: Array, Q: Array, sweeps: int) -> None:
    """All sweeps of `coordinate_descent` in one launch; CuPy arrays, `Q` and `B` already scaled.

    Args:
        X, B: `(..., k, m)`; `X` contiguous, changed in place.
        Q: `(..., k, k)` with the diagonal taken out.
        sweeps: over all rows.
    """
    cupy = sys.modules["cupy"]
    *_, k, m = X.shape
    problems = X.size // (k * m)
    B, Q = (cupy.ascontiguousarray(cupy.broadcast_to(part, X.shape[:-2] + part.shape[-2:])) for part in (B, Q))
    kernel = _compiled("descent", f"coordinate_descent<{_ctype(X)}, {k}>")
    arguments = (X, B, Q, np.int64(m), np.int64(problems), np.int32(sweeps))
    kernel((-(-m * problems // THREADS),), (THREADS,), arguments)


def can_fuse(A: Array, k: int) -> bool:
    """Whether `fused_pass` takes this matrix: float16 or float32 rows side by side in CuPy, not too wide."""
    kinds = ("float16", "float32")
    fits = k <= MOST_CONCEPTS and tile_rows(A.shape[1], k) > 0
    return A.dtype.name in kinds and A.flags.c_contiguous and fits


def fused_pass(
    A: Array, W: Array, gram: Any, starts: Sequence[int], Ht: Array, sweeps: int, cold: bool
) -> tuple[Array, Array, Array]:
    """Coefficients of all rows for fixed concepts, and their sums, reading `A` once.

    Args:
        A: `(N, c)` float16 or float32, contiguous.
        W: `(k, c)` float32.
        gram: `dff_onnx.arrays.descent.Quadratic` of `W`.
        starts: where blocks of rows begin, and where the last one ends.
        Ht: `(k, N)` float32, contiguous, overwritten.
        sweeps: of coordinate descent.
        cold: whether `Ht` holds nothing to start from yet.

    Returns:
        `H^T A (k, c)`, `H^T H (k, k)`, and inner product, violation and product as in `Sums`, all float64.
    """
    cupy = sys.modules["cupy"]
    (n, c), k, tile = A.shape, W.shape[0], tile_rows(A.shape[1], W.shape[0])
    kernel = _compiled("pass", f"fused_pass<{_ctype(A)}, {k}, {-(-c // THREADS)}>")
    factors = [cupy.ascontiguousarray(part) for part in (W, gram.Q, gram.scaled, gram.inverse)]
    totals = [cupy.zeros(shape, cupy.float64) for shape in ((k, c), (k, k), (3,))]
    places = cupy.asarray(starts, cupy.int64)
    for first in range(0, len(starts) - 1, BLOCKS):
        many = min(BLOCKS, len(starts) - 1 - first)
        HtA = cupy.empty((many, k, c), cupy.float32)
        HtH, scalars = cupy.empty((many, k, k)), cupy.empty((many * tile, 3))
        sizes = (np.int32(tile), np.int32(sweeps), np.int32(cold))
        arguments = (A, np.int32(c), *factors, places[first:], Ht, np.int64(n), HtA, HtH, scalars, *sizes)
        kernel((many,), (THREADS,), arguments, shared_mem=4 * shared_floats(c, k, tile))
        for total, part in zip(totals, (HtA, HtH, scalars), strict=True):
            total += part.sum(axis=0, dtype=cupy.float64)
    return totals[0], totals[1], totals[2]


def tile_rows(channels: int, k: int) -> int:
    """Rows of a tile, a power of two up to 16; 0 where not even one fits into shared memory.

    >>> tile_rows(512, 5), tile_rows(2048, 5), tile_rows(20_000, 5)
    (16, 4, 0)
    """
    return next((rows for rows in (16, 8, 4, 2, 1) if shared_floats(channels, k, rows) <= SHARED_FLOATS), 0)


def shared_floats(channels: int, k: int, tile: int) -> int:
    """What a thread block of `fused_pass` keeps in shared memory, in float32."""
    return tile * (channels + 8) + THREADS * k + 2 * tile * k


def _ctype(array: Array) -> str:
    return {"float16": "__half", "float32": "float", "float64": "double"}[array.dtype.name]


@cache
def _compiled(name: str, expression: str) -> Any:
    module = sys.modules["cupy"].RawModule(
        code=ON_GPU + source(name), options=("--std=c++14",), name_expressions=(expression,)
    )
    return module.get_function(expression)
