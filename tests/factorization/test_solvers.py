from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matrices import activations, loss
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from dff_onnx.factorization import factorize, nonnegative_least_squares


def authors_update(A: NDArray[Any], k: int, seed: int, max_iter: int, tol: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Multiplicative updates as the DFF authors' code has them, written out in float64 with the residual formed."""
    rng = np.random.default_rng(seed)
    A = A.astype(np.float64)
    scale = np.sqrt(A.mean() / k)
    H = np.abs(rng.standard_normal((A.shape[0], k))) * scale
    W = np.abs(rng.standard_normal((k, A.shape[1]))) * scale
    first = previous = np.linalg.norm(A - H @ W)
    for step in range(max_iter):
        down = H @ (W @ W.T)
        down[down == 0] = 1e-7
        H = H * (A @ W.T) / down
        down = (H.T @ H) @ W
        down[down == 0] = 1e-7
        W = W * (H.T @ A) / down
        if tol > 0 and step % 10 == 0:
            error = np.linalg.norm(A - H @ W)
            if (previous - error) / first < tol:
                break
            previous = error
    return H, W


@pytest.mark.parametrize("max_iter", [1, 7, 200])
def test_mu_takes_the_authors_steps(max_iter: int) -> None:
    A = activations().astype(np.float64)
    H, W = authors_update(A, 4, 3, max_iter, 1e-4)
    lengths = np.linalg.norm(W, axis=1)
    order = np.argsort(-np.sum((H * lengths) ** 2, axis=0))
    found = factorize(A, 4, solver="mu", seed=3, max_iter=max_iter)
    np.testing.assert_allclose(found.W, (W / lengths[:, None])[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.H, (H * lengths)[:, order], rtol=1e-9, atol=1e-12)


def test_mu_says_whether_its_rule_or_the_limit_stopped_it() -> None:
    A = activations()
    assert not factorize(A, 4, solver="mu", max_iter=5).converged
    found = factorize(A, 4, solver="mu", max_iter=1000)
    assert found.converged and found.n_iter % 10 == 1 and found.n_iter < 1000


@pytest.mark.parametrize("k", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hals_reaches_the_loss_of_scikit_learn_or_better(k: int, seed: int) -> None:
    A = activations(seed=seed, concepts=12)
    peers = [NMF(k, init=init, random_state=0, max_iter=400) for init in ("nndsvda", "random")]
    best = min(loss(A, peer.fit_transform(A), peer.components_) for peer in peers)
    found = factorize(A, k, seed=seed)
    assert found.converged
    assert found.loss <= best * (1 + 1e-4)


def test_hals_on_more_rows_than_it_samples_still_reaches_scikit_learn() -> None:
    A = activations(rows=24_000, channels=48, seed=5)
    peer = NMF(4, init="nndsvda", max_iter=2000)
    found = factorize(A, 4)
    assert found.loss <= loss(A, peer.fit_transform(A), peer.components_) * (1 + 1e-4)


def test_planted_concepts_are_found_again() -> None:
    rng = np.random.default_rng(7)
    W = np.zeros((3, 30))
    for j in range(3):
        W[j, j * 10 : (j + 1) * 10] = rng.random(10) + 0.1
    W /= np.linalg.norm(W, axis=1)[:, None]
    H = rng.gamma(0.5, 1, (500, 3)) * [3.0, 2.0, 1.0]
    found = factorize(H @ W, 3)
    np.testing.assert_allclose(found.W, W, atol=1e-4)
    assert found.loss < 1e-7


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_one_concept_is_the_leading_singular_pair(dtype: type) -> None:
    A = activations().astype(dtype)
    values, right = np.linalg.svd(A.astype(np.float64), full_matrices=False)[1:]
    found = factorize(A, 1)
    assert found.solver == "rank1"
    np.testing.assert_allclose(found.W[0], np.abs(right[0]), atol=2e-6)
    assert found.loss == pytest.approx(1 - values[0] ** 2 / np.sum(values**2), rel=1e-6)


def test_one_concept_is_exact_where_two_singular_values_almost_tie() -> None:
    A = np.zeros((100, 8))
    A[:50, :4], A[50:, 4:] = 1.0, 1.0005
    A += 1e-4 * np.random.default_rng(0).random(A.shape)
    right = np.linalg.svd(A, full_matrices=False)[2]
    np.testing.assert_allclose(factorize(A, 1).W[0], np.abs(right[0]), atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_projection_solves_the_non_negative_least_squares_of_scipy(k: int) -> None:
    A = activations(rows=50, concepts=8).astype(np.float64)
    W = np.random.default_rng(k).gamma(0.5, 1, (k, A.shape[1]))
    H = nonnegative_least_squares(A, W)
    exact = np.array([nnls(W.T, row)[0] for row in A])
    np.testing.assert_allclose(H, exact, atol=2e-5 * exact.max())


def test_the_loss_said_is_the_residual_written_out_in_float64() -> None:
    A = activations()
    for solver in ("hals", "mu"):
        found = factorize(A, 4, solver=solver)  # type: ignore[arg-type]
        assert found.loss == pytest.approx(loss(A, found.H, found.W), rel=1e-6)
        assert found.reconstruction_err == pytest.approx(
            np.linalg.norm(A - found.H.astype(np.float64) @ found.W), rel=1e-6
        )
        assert found.explained == 1 - found.loss


def test_concepts_have_unit_length_and_descend_in_energy() -> None:
    found = factorize(activations(), 5)
    np.testing.assert_allclose(np.linalg.norm(found.W, axis=1), 1, rtol=1e-6)
    energy = np.sum(found.H.astype(np.float64) ** 2, axis=0)
    assert np.all(np.diff(energy) <= 0)
    np.testing.assert_allclose(found.energy, energy, rtol=1e-5)


def test_the_same_seed_gives_the_same_bits() -> None:
    A = activations(rows=7000, channels=32)
    first, second = factorize(A, 3, seed=4), factorize(A.copy(), 3, seed=4)
    assert first.H.tobytes() == second.H.tobytes() and first.W.tobytes() == second.W.tobytes()


def test_coefficients_are_at_their_optimum_when_the_solver_stops() -> None:
    A = activations(rows=300)
    found = factorize(A, 5)
    exact = nonnegative_least_squares(A.astype(np.float64), found.W.astype(np.float64))
    assert found.loss <= loss(A, exact, found.W) * (1 + 1e-5)
