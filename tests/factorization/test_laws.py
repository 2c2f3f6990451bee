"""What every factorization obeys, whatever the matrix."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from matrices import activations, loss
from torture_tier import tiers

from dff_onnx.factorization import factorize
from dff_onnx.factorization.blocks import solve_concepts
from dff_onnx.factorization.passes import improve
from dff_onnx.factorization.rows import rows_of

plans = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 60),
        "channels": st.integers(1, 24),
        "zeros": st.sampled_from([0.0, 0.3, 0.9, 1.0]),
        "scale": st.sampled_from([1e-30, 1e-12, 1.0, 1e6, 1e15]),
        "double": st.booleans(),
        "solver": st.sampled_from(["coreset", "hals", "mu"]),
        "seed": st.integers(0, 10_000),
        "rank": st.floats(0, 1),
    }
)


def check(case: dict[str, object]) -> None:
    rng = np.random.default_rng(case["seed"])  # type: ignore[arg-type]
    shape = (case["rows"], case["channels"])
    A = rng.gamma(0.5, 1, shape) * (rng.random(shape) >= case["zeros"]) * case["scale"]  # type: ignore[arg-type]
    A = A.astype(np.float64 if case["double"] else np.float32)
    k = 1 + int(case["rank"] * (min(A.shape) - 1))  # type: ignore[operator]
    found = factorize(A, k, solver=case["solver"], max_iter=50)  # type: ignore[arg-type]
    for factor in (found.H, found.W):
        assert np.isfinite(factor).all() and (factor >= 0).all() and factor.dtype == A.dtype
    assert 0 <= found.loss <= 1 + 1e-6
    if A.any():
        assert found.loss == pytest.approx(loss(A, found.H, found.W), rel=1e-4, abs=1e-9)
        check_relatives(A, k, str(case["solver"]), found.loss)
        check_descent(A, k, rng)


def check_relatives(A: np.ndarray[Any, Any], k: int, solver: str, true: float) -> None:
    """Four times the matrix has the same loss (roots stay exact); of one concept, so have its rows in another order."""
    fourfold = factorize(A * A.dtype.type(4), k, solver=solver, max_iter=50)  # type: ignore[arg-type]
    assert fourfold.loss == pytest.approx(true, rel=1e-3, abs=1e-6)
    one, turned = factorize(A, 1, solver=solver), factorize(A[::-1].copy(), 1, solver=solver)  # type: ignore[arg-type]
    assert turned.loss == pytest.approx(one.loss, rel=1e-3, abs=1e-6)


def check_descent(A: np.ndarray[Any, Any], k: int, rng: np.random.Generator) -> None:
    A = A / A.max()
    W, Ht, norm = rng.random((k, A.shape[1])), np.zeros((k, len(A)), A.dtype), float((A.astype(float) ** 2).sum())
    losses = []
    for step in range(6):
        sums = improve(rows_of(A), W, Ht, cold=step == 0)
        losses.append(sums.residual(norm, W))
        W = solve_concepts(W, sums.HtA, sums.HtH)
    assert all(b <= a * (1 + 1e-6) + 1e-6 * norm for a, b in itertools.pairwise(losses))


@tiers("NMF laws")
def test_the_laws_hold_for_every_matrix(cases: range) -> None:
    known = {"max_examples": len(cases), "deadline": None, "database": None}
    seed(cases.start)(settings(**known)(given(plans)(check)))()  # type: ignore[arg-type]


def test_the_authors_updates_stay_finite_where_a_row_has_all_but_vanished() -> None:
    check({"rows": 24, "channels": 17, "zeros": 0.9, "scale": 1e-30, "double": False, "solver": "mu", "seed": 2018,
           "rank": 0.875})  # fmt: skip


@pytest.mark.parametrize("solver", ["coreset", "hals", "mu"])
def test_a_power_of_two_scales_the_coefficients_and_nothing_else(solver: str) -> None:
    A = activations()
    one, big = factorize(A, 3, solver=solver), factorize(A * 1024, 3, solver=solver)  # type: ignore[arg-type]
    np.testing.assert_allclose(big.W, one.W, atol=1e-5)
    np.testing.assert_allclose(big.H, one.H * 1024, atol=1e-5 * big.H.max())


def test_the_order_of_the_rows_does_not_matter_to_the_concept_of_rank_one() -> None:
    A = activations()
    order = np.random.default_rng(0).permutation(len(A))
    one, two = factorize(A, 1), factorize(A[order], 1)
    np.testing.assert_allclose(two.W, one.W, atol=1e-6)
    np.testing.assert_allclose(two.H, one.H[order], atol=1e-5 * one.H.max())


def test_the_loss_never_rises_without_extrapolation() -> None:
    A = activations()
    rng = np.random.default_rng(0)
    W, Ht, norm = rng.random((4, A.shape[1])), np.zeros((4, len(A)), np.float32), float((A.astype(float) ** 2).sum())
    losses = []
    for step in range(30):
        sums = improve(rows_of(A), W, Ht, cold=step == 0)
        losses.append(sums.residual(norm, W))
        W = solve_concepts(W, sums.HtA, sums.HtH)
    assert all(b <= a * (1 + 1e-7) for a, b in itertools.pairwise(losses))


def test_ties_in_energy_are_ordered_by_the_first_peak() -> None:
    A = np.zeros((6, 4))
    A[4, 1] = A[1, 3] = 1.0
    assert factorize(A, 2).H.argmax(axis=0).tolist() == [1, 4]
