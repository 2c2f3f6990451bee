"""What NumPy finds, CuPy finds; and nothing in an inner loop waits for the GPU."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from matrices import activations

from dff_onnx.arrays import cuda_present
from dff_onnx.factorization import DFF, factorize, nonnegative_least_squares
from dff_onnx.factorization.blocks import Concepts, block_step
from dff_onnx.factorization.descent import State, _step, descend
from dff_onnx.factorization.passes import improve
from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.sketch import compress
from dff_onnx.factorization.starts import starts

pytestmark = pytest.mark.gpu


@pytest.fixture
def cupy() -> Any:
    if not cuda_present():
        pytest.skip("needs CuPy and a CUDA device: pip install 'dff-onnx[cuda]'")
    return pytest.importorskip("cupy")


@contextlib.contextmanager
def never_waiting() -> Any:
    """Turns a wait for the GPU into an error."""
    cupyx = pytest.importorskip("cupyx")
    with cupyx.allow_synchronize(False):
        yield


@pytest.mark.parametrize(("solver", "k"), [("coreset", 1), ("coreset", 5), ("hals", 4), ("mu", 3)])
@pytest.mark.parametrize("rows", [600, 20_000])
def test_solvers_agree_with_numpy(cupy: Any, solver: Any, k: int, rows: int) -> None:
    A, options = activations(rows=rows), {"solver": solver, "starts": 4, "max_iter": 30}
    ours, theirs = factorize(A, k, **options), factorize(cupy.asarray(A), k, **options)
    assert isinstance(theirs.H, cupy.ndarray)
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-4)
    assert theirs.kkt < 0.02


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("cold", [True, False])
def test_a_fused_pass_is_the_pass_of_numpy(cupy: Any, dtype: Any, cold: bool) -> None:
    A = activations(rows=9000, channels=520).astype(dtype)
    plain = A if dtype == np.float64 else A.astype(np.float32)
    W = np.random.default_rng(0).gamma(0.3, 1, (6, 520))
    Ht = np.random.default_rng(1).random((6, 9000)).astype(plain.dtype)
    there = cupy.asarray(Ht)
    ours = improve(rows_of(plain), W, Ht, cold=cold)
    theirs = improve(rows_of(cupy.asarray(A)), cupy.asarray(W), there, cold=cold)
    np.testing.assert_allclose(there.get(), Ht, rtol=1e-3, atol=1e-4 * Ht.max())
    for name in ("HtA", "HtH", "inner", "product"):
        np.testing.assert_allclose(getattr(theirs, name).get(), getattr(ours, name), rtol=1e-3, atol=1e-3)


def test_the_same_seed_gives_the_same_bits(cupy: Any) -> None:
    A = cupy.asarray(activations(rows=30_000))
    first, second = factorize(A, 4), factorize(A.copy(), 4)
    assert first.H.get().tobytes() == second.H.get().tobytes()


def test_no_inner_loop_waits(cupy: Any) -> None:
    A = cupy.asarray(activations(rows=8000, channels=128))
    sketch = compress(A, 5, np.random.default_rng(0))
    _, W = starts(sketch, 5, 8, np.random.default_rng(0))
    state = descend(sketch, State(W), 9, 0.0)  # compiles what is compiled
    concepts = Concepts.of(W[0].astype(cupy.float64), cupy.float32)
    Ht = cupy.empty((5, 8000), cupy.float32)
    improve(rows_of(A), W[0].astype(cupy.float64), Ht, cold=True)
    with never_waiting():
        improve(rows_of(A), W[0].astype(cupy.float64), Ht)
        block_step(A[:2048], concepts, None, 4)
        _step(sketch, state.W, state.Ht, None)
    assert state.losses.shape == (8,)


def test_projection_and_estimator_agree_with_numpy(cupy: Any) -> None:
    A = activations()
    model = DFF(3).fit(cupy.asarray(A))
    W = model.components_.get()
    ours = nonnegative_least_squares(A, W)
    np.testing.assert_allclose(model.transform(cupy.asarray(A)).get(), ours, atol=1e-3 * ours.max())
