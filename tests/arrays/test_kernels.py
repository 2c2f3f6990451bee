"""The CUDA sources do what NumPy does: compiled as C++, one thread after the other, where no GPU is at hand."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dff_onnx.arrays.descent import Quadratic, by_the_standard
from dff_onnx.arrays.kernels import THREADS, shared_floats, source, tile_rows
from dff_onnx.factorization.blocks import Concepts, block_step

ON_CPU = f"""
#include <vector>
#define THREADS {THREADS}
#define KERNEL static
#define EACH(thread) for (int thread = 0; thread < THREADS; ++thread) {{
#define END }}
#define PRIVATE(type, name, size) static type name[THREADS][size]
#define MINE(name, thread) name[thread]
#define SHARED(type, name) type* const name = memory
#define UNROLL(n)
static long long BLOCK_INDEX;
static float* memory;
struct half {{ _Float16 value; operator float() const {{ return (float)value; }} }};
"""
CALLS = """
extern "C" void descent(float* X, const float* B, const float* Q, long long m, long long problems, int sweeps) {
    for (BLOCK_INDEX = 0; BLOCK_INDEX * THREADS < m * problems; ++BLOCK_INDEX)
        coordinate_descent<float, 5>(X, B, Q, m, problems, sweeps);
}
template <typename S, int K, int C> static void run(
    const S* A, int c, const float* W, const float* Q, const float* scaled, const float* inverse,
    const long long* starts, float* Ht, long long n, float* HtA, double* HtH, double* scalars,
    int tile, int sweeps, int cold, int blocks, int floats
) {
    std::vector<float> shared(floats);
    memory = shared.data();
    for (BLOCK_INDEX = 0; BLOCK_INDEX < blocks; ++BLOCK_INDEX)
        fused_pass<S, K, C>(A, c, W, Q, scaled, inverse, starts, Ht, n, HtA, HtH, scalars, tile, sweeps, cold);
}
#define PASS(name, S, K, C) extern "C" void name( \\
    const S* A, int c, const float* W, const float* Q, const float* s, const float* i, const long long* b, \\
    float* Ht, long long n, float* HtA, double* HtH, double* v, int t, int w, int o, int m, int f) { \\
    run<S, K, C>(A, c, W, Q, s, i, b, Ht, n, HtA, HtH, v, t, w, o, m, f); }
PASS(pass_float_5_2, float, 5, 2)
PASS(pass_half_5_2, half, 5, 2)
PASS(pass_float_20_5, float, 20, 5)
PASS(pass_float_1_1, float, 1, 1)
"""


@pytest.fixture(scope="module")
def kernels(cpp_compiler: str, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cpp").write_text(ON_CPU + source("descent") + source("pass") + CALLS)
    library = folder / "kernels.so"
    command = [cpp_compiler, "-std=c++14", "-O1", "-shared", "-fPIC", "-o", str(library), str(folder / "kernels.cpp")]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def at(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)


def test_the_descent_kernel_takes_the_steps_of_the_standard(kernels: ctypes.CDLL) -> None:
    rng = np.random.default_rng(0)
    W = rng.gamma(0.5, 1, (3, 5, 30))
    B = (W @ rng.gamma(0.5, 1, (3, 30, 700)) - 1).astype(np.float32)
    gram, X = Quadratic.of(W @ W.transpose(0, 2, 1), np.float32), rng.random((3, 5, 700)).astype(np.float32)
    expected, B = X.copy(), np.ascontiguousarray(B * gram.inverse)
    by_the_standard(expected, B, gram.scaled, 4)
    kernels.descent(at(X), at(B), at(gram.scaled), ctypes.c_longlong(700), ctypes.c_longlong(3), 4)
    np.testing.assert_allclose(X, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    ("name", "k", "channels", "dtype"),
    [
        ("pass_float_5_2", 5, 512, np.float32),
        ("pass_float_5_2", 5, 300, np.float32),
        ("pass_half_5_2", 5, 512, np.float16),
        ("pass_float_20_5", 20, 1100, np.float32),
        ("pass_float_1_1", 1, 48, np.float32),
    ],
)
@pytest.mark.parametrize("cold", [True, False])
def test_the_fused_pass_is_the_block_step(
    kernels: ctypes.CDLL, name: str, k: int, channels: int, dtype: Any, cold: bool
) -> None:
    rng = np.random.default_rng(k)
    W = rng.gamma(0.3, 1, (k, channels))
    A = (rng.gamma(0.3, 1, (500, k)) @ W + 0.1 * rng.random((500, channels))).astype(dtype)
    Ht = rng.random((k, 500)).astype(np.float32)
    concepts, starts = Concepts.of(W, np.float32), np.array([0, 203, 204, 500], np.int64)
    parts = [slice(a, b) for a, b in itertools.pairwise(starts)]
    steps = [block_step(A[p].astype(np.float32), concepts, None if cold else Ht[:, p], 4) for p in parts]
    tile = tile_rows(channels, k)
    HtA, HtH = np.empty((3, k, channels), np.float32), np.empty((3, k, k))
    scalars = np.empty((3, tile, 3))
    gram = [np.ascontiguousarray(part) for part in (concepts.gram.Q, concepts.gram.scaled, concepts.gram.inverse)]
    ours = Ht.copy()
    getattr(kernels, name)(
        at(A), channels, at(np.ascontiguousarray(concepts.W)), *map(at, gram), at(starts), at(ours),
        ctypes.c_longlong(500), at(HtA), at(HtH), at(scalars), tile, 4, int(cold), 3, shared_floats(channels, k, tile),
    )  # fmt: skip
    expected = np.concatenate([step[0] for step in steps], axis=1)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=2e-4 * expected.max())
    for block, (_, sums) in enumerate(steps):
        np.testing.assert_allclose(HtA[block], sums.HtA, rtol=1e-3, atol=1e-4 * sums.HtA.max())
        np.testing.assert_allclose(HtH[block], sums.HtH, rtol=1e-3, atol=1e-4 * sums.HtH.max())
        inner, violation, product = scalars[block].sum(axis=0)
        assert inner == pytest.approx(float(sums.inner), rel=1e-4)
        assert product == pytest.approx(float(sums.product), rel=1e-4)
        assert violation == pytest.approx(float(sums.violation), rel=0.05, abs=1e-9 * product)


@pytest.mark.parametrize("channels", [1, 64, 512, 1024, 2048, 3840])
@pytest.mark.parametrize("k", [1, 5, 32])
def test_a_tile_finds_room_and_its_rows_share_the_threads_evenly(channels: int, k: int) -> None:
    tile = tile_rows(channels, k)
    assert 1 <= tile <= 16 and THREADS % tile == 0
    assert 4 * shared_floats(channels, k, tile) <= 48 * 1024
