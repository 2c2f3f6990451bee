"""Non-negative least squares to the end, beside SciPy's, and where coordinate descent gives up."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import nnls

from dff_onnx.factorization import nonnegative_least_squares
from dff_onnx.factorization.pivoting import solved

Doubles = NDArray[np.float64]


def alike(k: int, apart: float, seed: int = 0) -> tuple[Doubles, Doubles]:
    """Rows, and concepts of which two differ by so much."""
    rng = np.random.default_rng(seed)
    W = np.abs(rng.normal(0, 1, (k, 64)))
    W[1] = W[0] + apart * np.abs(rng.normal(0, 1, 64))
    A = np.abs(rng.normal(0, 1, (300, 64))) * rng.uniform(0, 1, 64)
    A[3] = 0
    return A, W / np.linalg.norm(W, axis=1, keepdims=True)


def of_scipy(A: Doubles, W: Doubles) -> Doubles:
    return np.array([nnls(W.T, row, maxiter=5000)[0] for row in A])


@pytest.mark.parametrize("k", [2, 8, 40])
@pytest.mark.parametrize("apart", [1.0, 0.1, 0.01, 0.001])
def test_coefficients_are_scipys_however_alike_concepts_are(k: int, apart: float) -> None:
    A, W = alike(k, apart)
    found = nonnegative_least_squares(A, W, exact=True)
    np.testing.assert_allclose(found, of_scipy(A, W), atol=1e-8)
    assert (found >= 0).all() and (found[3] == 0).all()


def test_where_sweeps_do_not_suffice_rows_are_solved_exactly() -> None:
    """500 sweeps leave errors of a quarter here."""
    A, W = alike(8, 0.01)
    np.testing.assert_allclose(nonnegative_least_squares(A, W), of_scipy(A, W), atol=1e-8)


def test_equal_concepts_share_what_either_could_take() -> None:
    A, W = alike(4, 0.0)
    found = nonnegative_least_squares(A, W, exact=True)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found @ W, of_scipy(A, W) @ W, atol=1e-7)


def test_a_concept_of_zeros_takes_nothing() -> None:
    A, W = alike(3, 1.0)
    W[2] = 0
    found = nonnegative_least_squares(A, W, exact=True)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found @ W, of_scipy(A, W) @ W, atol=1e-8)


def test_concepts_that_are_all_zero_or_depend_on_each_other_are_no_obstacle() -> None:
    A, W = alike(3, 1.0)
    assert (nonnegative_least_squares(A, np.zeros_like(W), exact=True) == 0).all()
    mixed = np.concatenate([W, (W[:1] + W[1:2]) / 2, W[2:]])
    found = nonnegative_least_squares(A, mixed, exact=True)
    np.testing.assert_allclose(found @ mixed, of_scipy(A, mixed) @ mixed, atol=1e-8)


@settings(max_examples=200, deadline=None)
@example(1, 1, 2, 1.0)
@given(st.integers(1, 7), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 1.0, 1e12]))
def test_any_guess_ends_at_the_optimum(k: int, rows: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    W = rng.uniform(0, 1, (k, 9)) * (rng.uniform(0, 1, (k, 9)) < 0.6)
    A = scale * rng.uniform(0, 1, (rows, 9)) * (rng.uniform(0, 1, (rows, 9)) < 0.6)
    B, Q, guess = W @ A.T, W @ W.T, rng.uniform(-1, 1, (k, rows)).clip(0)
    H = solved(guess, B, Q)
    gradient = Q @ H - B
    assert (H >= 0).all()
    assert np.where(H > 0, np.abs(gradient), -gradient).max(initial=0) <= 1e-9 * max(np.abs(B).max(), 1e-300)


def test_every_array_library_gives_the_same() -> None:
    A, W = alike(6, 0.01)
    device = array_api_strict.Device("device1")

    def strict(array: Doubles) -> Any:
        return array_api_strict.asarray(array, device=device)

    B, Q = W @ A.T, W @ W.T
    guess = np.ones_like(B)
    found = solved(strict(guess), strict(B), strict(Q))
    np.testing.assert_allclose(
        np.asarray(found.to_device(array_api_strict.Device("CPU_DEVICE"))), solved(guess, B, Q), atol=1e-12
    )


def test_columns_that_do_not_end_stay_as_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dff_onnx.factorization.pivoting.ROUNDS_EACH", 0)
    A, W = alike(6, 0.01)
    guess = np.full((6, 300), 0.25)
    guess[:, 3] = 0
    np.testing.assert_array_equal(solved(guess, W @ A.T, W @ W.T), guess)
