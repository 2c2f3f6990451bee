from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from scenes import scene, view
from sklearn.linear_model import Ridge

from dff_onnx.concepts.directions import (
    Moments,
    along,
    border_prior,
    centre_prior,
    covariance_direction,
    moments,
    ridge_direction,
)
from dff_onnx.records import Grid

SCENES = [scene(seed) for seed in range(5)]
VIEW = view(SCENES)
TARGETS = [centre_prior(grid, 0.5) for grid in VIEW.grids]
X = np.sqrt(VIEW.A.astype(np.float64))
Y = np.concatenate([target.ravel() for target in TARGETS]).astype(np.float64)
CELLS = VIEW.grids[0].cells


def whole(A: Any = VIEW.A) -> Moments:
    even, odd = moments(A, VIEW.grids, TARGETS)
    return even + odd


def test_moments_are_those_of_all_rows() -> None:
    made = whole()
    assert made.rows == len(X)
    np.testing.assert_allclose(made.mean, X.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(made.covariance, np.cov(X.T, bias=True), atol=1e-5)
    np.testing.assert_allclose(made.with_target, [np.cov(x, Y, bias=True)[0, 1] for x in X.T], atol=1e-5)


def test_halves_are_the_images_at_even_and_odd_places() -> None:
    even, odd = moments(VIEW.A, VIEW.grids, TARGETS)
    assert (even.rows, odd.rows) == (3 * CELLS, 2 * CELLS)
    np.testing.assert_allclose(
        odd.x, X[CELLS : 2 * CELLS].sum(axis=0) + X[3 * CELLS : 4 * CELLS].sum(axis=0), rtol=1e-5
    )


def test_the_ridge_is_scikit_learns() -> None:
    made = whole()
    penalty = 0.3 * np.trace(made.covariance) / 6 * len(X)
    theirs = Ridge(alpha=penalty).fit(X, Y).coef_
    np.testing.assert_allclose(ridge_direction(made, 0.3), theirs, rtol=1e-4)


def test_an_endless_penalty_leaves_the_covariance() -> None:
    made = whole()
    strong, bare = ridge_direction(made, 1e9), covariance_direction(made)
    np.testing.assert_allclose(strong / np.linalg.norm(strong), bare / np.linalg.norm(bare), rtol=1e-4)


def test_correlation_is_numpys() -> None:
    made = whole()
    direction = ridge_direction(made, 1.0)
    assert made.correlation(direction) == pytest.approx(np.corrcoef(X @ direction, Y)[0, 1], abs=1e-5)
    assert made.correlation(np.zeros(6)) == 0.0


def test_values_are_centred_products() -> None:
    direction = np.arange(6.0)
    np.testing.assert_allclose(along(VIEW.A, X.mean(axis=0), direction), (X - X.mean(axis=0)) @ direction, atol=1e-4)


def test_nothing_needs_numpy() -> None:
    away = array_api_strict.asarray(VIEW.A, device=array_api_strict.Device("device1"))
    np.testing.assert_allclose(whole(away).covariance, whole().covariance, atol=1e-6)
    ours = along(VIEW.A, X.mean(axis=0), np.arange(6.0))
    np.testing.assert_allclose(along(away, X.mean(axis=0), np.arange(6.0)), ours, atol=1e-5)


def test_the_centre_prior_is_a_gaussian_in_halves_of_the_sides() -> None:
    prior = centre_prior(Grid(3, 5), 0.5)
    assert prior[1, 2] == 1.0
    assert prior[0, 2] == pytest.approx(np.exp(-((2 / 3) ** 2) / (2 * 0.25)))
    assert prior[1, 0] == pytest.approx(np.exp(-((4 / 5) ** 2) / (2 * 0.25)))


def test_the_border_prior_is_flat_inside_and_falls_at_the_borders() -> None:
    prior = border_prior(Grid(20, 20), 0.3)
    assert prior[3:17, 3:17].min() == 1.0
    np.testing.assert_allclose(prior[10, :3], np.array([0.05, 0.15, 0.25]) / 0.3, rtol=1e-5)
    assert (prior == prior[::-1]).all() and (prior == prior[:, ::-1]).all()
