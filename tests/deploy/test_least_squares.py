"""Coefficients inside a graph, beside SciPy's active-set solver."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import run
from numpy.typing import NDArray
from scipy.optimize import nnls

from dff_onnx.deploy.least_squares import Gram, add_least_squares, violation
from dff_onnx.deploy.nodes import Nodes

Floats = NDArray[np.float32]


def concepts(k: int, c: int, alike: float, seed: int = 0) -> Floats:
    """Concepts of unit length, the more alike the more they have of a common direction."""
    rng = np.random.default_rng(seed)
    W = (1 - alike) * rng.gamma(0.5, size=(k, c)) + alike * rng.gamma(0.5, size=c)
    return (W / np.linalg.norm(W, axis=1, keepdims=True)).astype(np.float32)


def activations(W: Floats, cells: int, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    mixed = rng.gamma(0.3, size=(cells, len(W))) @ W + 0.2 * rng.gamma(0.3, size=(cells, W.shape[1]))
    return mixed.astype(np.float32)


def solved(W: Floats, A: Floats, unroll: int | None = None) -> tuple[Floats, float]:
    """`H (cells, k)` of the graph, and its largest projected gradient beside the largest `A W^T`."""
    nodes, AWt = Nodes(), (W @ A.T).astype(np.float32)
    found = add_least_squares(nodes, "AWt", Gram.of(W), unroll)
    left = violation(nodes, found.H, found.gradient)
    H, wrong = run(nodes, {"AWt": AWt}, found.H, left)
    return H.T, float(wrong.max() / max(AWt.max(), 1e-30))


def exact(W: Floats, A: Floats) -> Floats:
    return np.stack([nnls(W.T.astype(np.float64), row.astype(np.float64))[0] for row in A]).astype(np.float32)


@pytest.mark.parametrize("k", [1, 2, 5, 8, 20])
@pytest.mark.parametrize("alike", [0.0, 0.5, 0.8])
def test_the_loop_finds_what_scipy_finds(k: int, alike: float) -> None:
    W = concepts(k, 96, alike)
    A = activations(W, 120)
    H, wrong = solved(W, A)
    expected = exact(W, A)
    # A gradient of 1e-6 leaves the coefficients that far from the best, over the least eigenvalue.
    least = float(np.linalg.eigvalsh(W.astype(np.float64) @ W.T)[0])
    assert np.abs(H - expected).max() <= 5e-6 * expected.max() / least
    assert wrong <= 2e-6 and (H >= 0).all()


@pytest.mark.parametrize("alike", [0.9, 0.99, 0.999])
def test_concepts_as_good_as_equal_leave_a_small_gradient_and_the_loss_of_the_optimum(alike: float) -> None:
    W = concepts(8, 96, alike)
    A = activations(W, 120)
    H, wrong = solved(W, A)
    losses = [float(((A - one @ W) ** 2).sum() / (A**2).sum()) for one in (H, exact(W, A))]
    assert wrong <= 1e-5 and losses[0] <= losses[1] * (1 + 1e-5)


def test_equal_concepts_and_one_that_nothing_uses_do_no_harm() -> None:
    W = concepts(4, 30, 0.3)
    W[2], W[3] = W[0], 0
    A = activations(W, 50)
    H, wrong = solved(W, A)
    assert (H[:, 3] == 0).all() and wrong <= 1e-5
    np.testing.assert_allclose(H @ W, exact(W[:2], A) @ W[:2], atol=1e-4)


def test_nothing_gives_nothing() -> None:
    W = concepts(3, 10, 0.2)
    assert (solved(W, np.zeros((5, 10), np.float32))[0] == 0).all()
    assert (solved(np.zeros((2, 10), np.float32), np.ones((5, 10), np.float32))[0] == 0).all()


@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_as_many_rounds_as_it_says_bring_coefficients_within_a_ten_thousandth(alike: float) -> None:
    W = concepts(6, 96, alike)
    A, gram = activations(W, 120), Gram.of(W)
    H, _ = solved(W, A, gram.rounds)
    assert np.abs(H - exact(W, A)).max() <= 1e-4 * H.max()
    few, _ = solved(W, A, 2)
    assert np.abs(few - exact(W, A)).max() > 1e-3 * H.max()
