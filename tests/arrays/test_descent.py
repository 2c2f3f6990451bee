"""Coordinate descent: the fast ways do what the standard says, and what SciPy finds."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import nnls

from dff_onnx.arrays.descent import Quadratic, by_the_standard, coordinate_descent

DEVICE = array_api_strict.Device("device1")


def problem(starts: int, k: int, m: int, dtype: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(k * m)
    W = rng.gamma(0.5, 1, (starts, k, 20))
    B = W @ rng.gamma(0.5, 1, (starts, 20, m)) - 1.0
    return rng.random((starts, k, m)).astype(dtype), B.astype(dtype), (W @ W.transpose(0, 2, 1)).astype(dtype)


@pytest.mark.parametrize(("starts", "k", "m"), [(1, 1, 1), (1, 5, 300), (4, 3, 7), (3, 20, 64)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_ways_take_the_same_steps(starts: int, k: int, m: int, dtype: Any) -> None:
    X, B, Q = problem(starts, k, m, dtype)
    plain, gram = X.copy(), Quadratic.of(Q, B.dtype)
    by_the_standard(plain, B * gram.inverse, gram.scaled, 5)
    foreign = [array_api_strict.asarray(part, device=DEVICE) for part in (X.copy(), B, Q)]
    theirs = np.asarray(coordinate_descent(*foreign, 5).to_device(array_api_strict.Device("CPU_DEVICE")))
    ours = coordinate_descent(X, B, Q, 5)
    assert ours is X and ours.dtype == dtype
    for other in (plain, theirs):
        np.testing.assert_allclose(other, ours, rtol=1e-4, atol=1e-4 * ours.max())


def test_enough_sweeps_end_at_the_non_negative_least_squares_of_scipy() -> None:
    rng = np.random.default_rng(0)
    W, A = rng.gamma(0.5, 1, (6, 30)), rng.random((40, 30))
    found = coordinate_descent(np.zeros((6, 40)), W @ A.T, W @ W.T, 500)
    exact = np.array([nnls(W.T, row)[0] for row in A]).T
    np.testing.assert_allclose(found, exact, atol=1e-8)


def test_a_row_that_explains_nothing_is_left_as_it_is() -> None:
    Q = np.diag([2.0, 0.0, 3.0])
    X = coordinate_descent(np.full((3, 4), 7.0), np.ones((3, 4)), Q, 3)
    assert X[:, 0].tolist() == [0.5, 7.0, 1 / 3]


def test_a_sweep_never_raises_the_error_it_lowers() -> None:
    X, B, Q = (part[0] for part in problem(1, 8, 50, np.float64))
    errors = []
    for _ in range(20):
        errors.append(float(np.sum(X * (Q @ X)) - 2 * np.sum(X * B)))
        coordinate_descent(X, B, Q, 1)
    assert np.all(np.diff(errors) <= 1e-9 * abs(errors[0]))
