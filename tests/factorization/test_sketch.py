"""The compressed sample, the starts drawn from it, and descents that are pulled towards the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matrices import activations
from sklearn.decomposition._nmf import _initialize_nmf

from dff_onnx.factorization.descent import Pull, State, descend, optimum, unit
from dff_onnx.factorization.sketch import columns_for, compress
from dff_onnx.factorization.starts import kmeans_plus_plus, nndsvd, starts

RNG = np.random.default_rng


@pytest.mark.parametrize("shape", [(500, 40), (500, 30), (500, 200), (30, 200), (3, 2), (1, 300)])
def test_a_sketch_is_an_orthogonal_projection(shape: tuple[int, int]) -> None:
    S = RNG(0).gamma(0.3, 1, shape)
    sketch = compress(S, 3, RNG(1))
    rank = min(shape[1], sketch.V.shape[1])
    np.testing.assert_allclose(sketch.V.T @ sketch.V, np.diag((sketch.V**2).sum(axis=0)), atol=1e-6)
    np.testing.assert_allclose(sketch.Y, S @ sketch.V, atol=1e-6)
    assert sketch.V.shape[1] <= columns_for(shape[0], 3) and rank >= 1
    assert sketch.norm == pytest.approx(np.sum(S**2))
    if min(shape) <= 32:  # nothing need be left out
        np.testing.assert_allclose(sketch.Y @ sketch.Vt, S, atol=1e-6)


def test_a_sketch_keeps_nearly_what_the_singular_vectors_keep() -> None:
    S = activations(rows=3000, channels=200, concepts=60).astype(np.float64)
    sketch = compress(S, 5, RNG(0))
    values = np.linalg.svd(S, compute_uv=False)
    best = np.sum(values[: sketch.V.shape[1]] ** 2) / np.sum(values**2)
    assert np.sum(sketch.Y**2) / np.sum(S**2) >= best - 0.01


def test_low_rank_and_zeros_leave_directions_empty_not_noisy() -> None:
    low = RNG(0).random((400, 2)) @ RNG(1).random((2, 150))
    for S in (low, np.zeros((400, 150))):
        sketch = compress(S, 2, RNG(2))
        assert np.isfinite(sketch.V).all()
        np.testing.assert_allclose(sketch.Y @ sketch.Vt, S, atol=1e-9)


def test_products_with_the_sketch_are_those_with_the_sample_where_it_is_exact() -> None:
    S = RNG(0).random((200, 20))
    sketch, W, Ht = compress(S, 3, RNG(1)), RNG(2).random((4, 3, 20)), RNG(3).random((4, 3, 200))
    np.testing.assert_allclose(sketch.explained_by(W), W @ S.T)
    np.testing.assert_allclose(sketch.gathered_by(Ht), Ht @ S)


def test_nndsvd_is_scikit_learns() -> None:
    A = activations(rows=400, channels=30).astype(np.float64)
    ours = nndsvd(compress(A, 5, RNG(0)), 5)
    theirs = _initialize_nmf(A, 5, init="nndsvd", random_state=0)[1]
    for one, other in zip(ours, theirs, strict=True):
        # The length belongs to H there; only directions are compared.
        there = other > 1e-9 * other.max()
        np.testing.assert_allclose(one[there] / one[there].max(), other[there] / other[there].max(), atol=1e-4)
        assert len(np.unique(one[~there])) <= 1  # zeros are lifted to one value


def test_k_means_plus_plus_draws_rows_that_differ() -> None:
    corners = np.repeat(np.eye(4), 50, axis=0) * RNG(0).random((200, 1))
    W = kmeans_plus_plus(compress(corners, 4, RNG(0)), 4, 20, RNG(1))
    assert W.shape == (20, 4, 4)
    for one in W:  # each start has every corner: the second row of a corner is at distance zero
        assert sorted(one.argmax(axis=1).tolist()) == [0, 1, 2, 3]


def test_starts_have_names_and_may_be_one() -> None:
    sketch = compress(activations(), 3, RNG(0))
    names, W = starts(sketch, 3, 4, RNG(0))
    assert names == ["nndsvd", "k-means++ 1", "k-means++ 2", "k-means++ 3"] and W.shape == (4, 3, 64)
    assert starts(sketch, 3, 1, RNG(0))[0] == ["nndsvd"]


def pulled(gradient: Any, weight: float, iterations: int = 60) -> tuple[State, State]:
    sketch = compress(activations(rows=900), 3, RNG(0))
    begun = unit(descend(sketch, State(starts(sketch, 3, 1, RNG(0))[1]), 5, 0.0))
    W = begun.W[0]
    pull = Pull((gradient * W).astype(W.dtype), np.full(3, weight, W.dtype), W)
    return begun, descend(sketch, optimum(sketch, begun)[0], iterations, 0.0, pull)


def test_concepts_stay_at_unit_length_under_a_pull() -> None:
    _, found = pulled(50.0, 0.0)  # a gradient along the concepts themselves would lengthen them for ever
    np.testing.assert_allclose(np.linalg.norm(found.W[0], axis=1), 1, rtol=1e-5)
    assert np.isfinite(found.Ht).all()


def test_damping_keeps_concepts_near_where_they_were() -> None:
    free, held = pulled(0.0, 0.0), pulled(0.0, 1e7)
    distances = [float(np.linalg.norm(after.W - before.W)) for before, after in (free, held)]
    assert distances[1] < distances[0] / 20


def test_a_pull_moves_the_fixed_point_to_where_its_gradient_says() -> None:
    rng = RNG(5)
    A = activations(rows=900).astype(np.float64)
    sketch = compress(A[:450], 3, RNG(0))  # half the rows stand for all
    state = unit(descend(sketch, State(starts(sketch, 3, 1, rng)[1]), 50, 0.0))
    for _ in range(8):
        W = state.W[0]
        state, HtS, HtH = optimum(sketch, state)
        H = np.maximum(A @ np.linalg.pinv(W), 0)
        for _ in range(200):  # coefficients of all rows, by projected gradient
            H = np.maximum(H - (H @ (W @ W.T) - A @ W.T) / np.linalg.norm(W @ W.T, 2), 0)
        everywhere = (H.T @ H @ W - H.T @ A) / 2  # as many rows as the half has
        pull = Pull((HtH[0] @ W - HtS[0]) - everywhere, 0.03 * np.diagonal(H.T @ H) / 2, W)
        state = descend(sketch, state, 60, 1e-9, pull)
    left = np.where(W > 0, everywhere, np.minimum(everywhere, 0))
    assert np.linalg.norm(left) < 1e-3 * np.linalg.norm(H.T @ A) / 2
