"""The default solver: as good as any peer, and honest about how good."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matrices import activations, loss
from numpy.typing import NDArray
from sklearn.decomposition import NMF

import dff_onnx.factorization.coreset as coreset_file
from dff_onnx.factorization import factorize, nonnegative_least_squares
from dff_onnx.factorization.rank1 import leading_vector


@pytest.mark.parametrize("k", [2, 3, 5, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_small_set_reaches_the_best_of_scikit_learns_starts(k: int, seed: int) -> None:
    A = activations(seed=seed, concepts=12)
    peers = [NMF(k, init=init, random_state=s, max_iter=400) for init in ("nndsvda", "random") for s in range(4)]
    best = min(loss(A, peer.fit_transform(A), peer.components_) for peer in peers)
    assert factorize(A, k, seed=seed).loss <= best * (1 + 5e-4)


@pytest.mark.parametrize(("k", "seed"), [(3, 0), (5, 1), (10, 2)])
def test_a_sampled_set_reaches_scikit_learn_run_to_its_end(k: int, seed: int) -> None:
    A = activations(rows=30_000, channels=96, concepts=14, seed=seed)
    peer = NMF(k, init="nndsvda", max_iter=500, tol=1e-5)
    found = factorize(A, k)
    assert found.solver == "coreset" and found.converged
    assert found.loss <= loss(A, peer.fit_transform(A), peer.components_) * (1 + 5e-5)


def test_a_corrected_pass_takes_away_most_of_what_is_left() -> None:
    A = activations(rows=30_000, channels=96, concepts=14)
    best = factorize(A, 5, tol=1e-9).loss
    gaps = [factorize(A, 5, tol=1e-9, max_iter=passes).loss / best - 1 for passes in (1, 2, 3)]
    assert gaps[1] < gaps[0] / 4 and gaps[2] < gaps[0] / 10


def test_without_the_correction_passes_would_end_at_the_minimum_of_the_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    A = activations(rows=30_000, channels=96, concepts=14)
    best = factorize(A, 5, tol=1e-9)
    true = coreset_file.Pull
    monkeypatch.setattr(coreset_file, "Pull", lambda gradient, *rest: true(gradient * 0, *rest))
    assert factorize(A, 5, tol=1e-9, max_iter=20).kkt > 4 * best.kkt


def test_the_loss_of_the_result_is_the_lowest_of_its_passes() -> None:
    for seed in range(6):
        found = factorize(activations(rows=20_000, channels=48, concepts=20, seed=seed), 8, seed=seed)
        assert found.loss <= min(found.history) * (1 + 1e-6)
        assert len(found.history) == found.n_iter


def test_a_pass_that_raised_the_loss_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    A, true, dampings = activations(rows=20_000, channels=48, concepts=20), coreset_file._corrected, list[float]()

    def misled(sketch: Any, at: Any, damping: float) -> Any:
        dampings.append(damping)
        state, gain = true(sketch, at, damping)
        if len(dampings) in (1, 3):  # rows of the concepts are mixed up: far from a descent
            state.W[0, 0, :] = state.W[0, 0, ::-1].copy()
            return state, 1.0
        return state, gain

    monkeypatch.setattr(coreset_file, "_corrected", misled)
    found = factorize(A, 6)
    assert found.history[1] > found.history[0] and dampings[1] == 8 * dampings[0]
    assert found.loss == pytest.approx(min(found.history), rel=1e-6)
    assert found.loss == pytest.approx(loss(A, found.H, found.W), rel=1e-6)


def test_coefficients_are_the_projection_of_the_rows() -> None:
    A = activations(rows=12_000, channels=40)
    found = factorize(A, 5)
    exact = nonnegative_least_squares(A.astype(np.float64), found.W.astype(np.float64))
    np.testing.assert_allclose(found.H, exact, atol=1e-4 * exact.max())


@pytest.mark.parametrize("solver", ["coreset", "hals", "mu"])
@pytest.mark.parametrize("rows", [500, 12_000])
def test_the_quality_said_is_the_quality_there_is(solver: Any, rows: int) -> None:
    A = activations(rows=rows)
    found = factorize(A, 4, solver=solver, max_iter=60)
    D, H, W = (part.astype(np.float64) for part in (A, found.H, found.W))
    assert found.loss == pytest.approx(loss(A, H, W), abs=1e-7)  # of ||A||^2: what float32 products leave

    def share(gradient: NDArray[Any], X: NDArray[Any], linear: NDArray[Any]) -> float:
        left = np.where(X > 0, gradient, np.minimum(gradient, 0))
        return float(np.linalg.norm(left) / np.linalg.norm(linear))

    in_H = share(H @ (W @ W.T) - D @ W.T, H, D @ W.T)
    in_W = share(H.T @ H @ W - H.T @ D, W, H.T @ D)
    assert found.kkt == pytest.approx(max(in_H, in_W), rel=0.05, abs=1e-5)


def test_the_spread_of_the_starts_is_said() -> None:
    A = activations(concepts=12)
    found = factorize(A, 6)
    assert len(found.start_losses) == 16 and 0 < found.spread < 1
    assert found.start.startswith(("nndsvd", "k-means++"))
    assert factorize(A, 6, starts=1).spread == 0 and factorize(A, 1).spread == 0


def test_the_default_tolerance_leaves_little() -> None:
    for k, seed in itertools.product((3, 8), range(3)):
        A = activations(rows=15_000, channels=64, concepts=12, seed=seed)
        assert factorize(A, k).loss <= factorize(A, k, tol=1e-9).loss * (1 + 1e-4)


@pytest.mark.parametrize("rows", [40, 9000])
@pytest.mark.parametrize("k", [1, 3])
def test_awkward_matrices_have_right_answers(rows: int, k: int) -> None:
    rng = np.random.default_rng(0)
    base = rng.random((4, 12))
    cases = {
        "duplicate rows": (np.repeat(base[:1], rows, axis=0), 0.0),
        "rank two": (rng.random((rows, 2)) @ rng.random((2, 12)), None if k == 1 else 0.0),
        "constant": (np.full((rows, 12), 3.0), 0.0),
        "mostly zeros": (np.pad(base[:k], ((0, rows - k), (0, 0))), 0.0),
        "one channel": (rng.random((rows, 1)), 0.0),
        "huge and tiny rows": (base[rng.integers(0, 4, rows)] * 10.0 ** rng.integers(-12, 12, (rows, 1)), None),
    }
    for name, (A, expected) in cases.items():
        for dtype in (np.float32, np.float64):
            found = factorize(A.astype(dtype), min(k, A.shape[1]))
            assert np.isfinite(found.H).all() and np.isfinite(found.W).all(), name
            assert (found.H >= 0).all() and (found.W >= 0).all(), name
            if expected is not None:
                assert found.loss <= expected + 1e-5, name


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_extreme_scales_change_the_coefficients_alone(scale: float) -> None:
    A = activations(rows=9000, channels=32)
    power = 2.0 ** round(np.log2(scale))
    one, other = factorize(A, 3), factorize((A * np.float32(power)).astype(np.float32), 3)
    np.testing.assert_allclose(other.W, one.W, atol=2e-3)
    assert other.loss == pytest.approx(one.loss, rel=1e-5)


def test_the_leading_vector_is_found_in_a_few_products_and_given_up_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    A = rng.gamma(0.5, 1, (300, 40))
    G = A.T @ A
    v, products = leading_vector(lambda x: G @ x, A.sum(axis=0))
    exact = np.linalg.eigh(G)[1][:, -1]
    np.testing.assert_allclose(np.abs(v), np.abs(exact), atol=1e-7)
    assert products <= 8
    lines = np.diag(np.linspace(1, 2, 200) ** 0.01)
    assert leading_vector(lambda x: lines @ x, np.ones(200))[0] is None


@pytest.mark.slow
def test_real_features_reach_scikit_learns_loss(real_data: Path) -> None:
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.files import walk_pictures
    from dff_onnx.images import Resize
    from dff_onnx.progress import Silent
    from dff_onnx.runs.collect import collect

    folder = real_data / "photos"
    A = collect(folder, walk_pictures(folder)[:100], Backbone.open(threads=1), Resize(), Silent()).A
    for k in (3, 5):
        peer = NMF(k, init="nndsvda")
        assert factorize(A, k).loss <= loss(A, peer.fit_transform(A), peer.components_) * (1 + 5e-5)
