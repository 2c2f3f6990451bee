"""Whitening: what it was learnt on comes out uncorrelated; scikit-learn and cirtorch's formula agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import Whitening, learn_whitening, normalized


def vectors(n: int = 300, c: int = 8, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return normalized(np.abs(rng.normal(0, 1, (n, c)) @ rng.normal(0, 1, (c, c))) + 0.1)


@pytest.mark.parametrize("kept", [None, 3, 8])
def test_vectors_it_was_learnt_on_are_uncorrelated_and_of_variance_1(kept: int | None) -> None:
    V = vectors()
    projected = learn_whitening(V, kept).projected(V)
    d = kept or 8
    np.testing.assert_allclose(projected.mean(axis=0), np.zeros(d), atol=1e-9)
    np.testing.assert_allclose(projected.T @ projected / len(V), np.eye(d), atol=1e-9)


def test_it_is_the_formula_of_cirtorch() -> None:
    V = vectors()
    centred = V - V.mean(axis=0)
    values, directions = np.linalg.eig(centred.T @ centred / len(V))
    order = np.argsort(-values)
    P = np.diag(values[order] ** -0.5) @ directions[:, order].T
    expected = normalized((V - V.mean(axis=0)) @ P[:5].T)
    ours = learn_whitening(V, 5)(V)
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=1e-9)


def test_it_is_scikit_learns_but_for_its_divisor_and_the_signs() -> None:
    V = vectors()
    theirs = PCA(4, whiten=True, svd_solver="full").fit_transform(V) * (300 / 299) ** 0.5
    np.testing.assert_allclose(np.abs(learn_whitening(V, 4).projected(V)), np.abs(theirs), atol=1e-9)


def test_directions_come_by_falling_variance_and_a_few_are_the_first_of_all() -> None:
    V = vectors()
    every, few = learn_whitening(V), learn_whitening(V, 3)
    assert (every.dimensions, few.dimensions) == (8, 3)
    np.testing.assert_array_equal(every.projection[:3], few.projection)
    lengths = np.linalg.norm(every.projection, axis=1)
    assert (np.diff(lengths) > 0).all()  # divided by falling deviations


def test_signs_do_not_depend_on_the_solver() -> None:
    P = learn_whitening(vectors()).projection
    assert (P[np.arange(8), np.abs(P).argmax(axis=1)] > 0).all()
    mirrored = learn_whitening(-vectors()).projection
    np.testing.assert_allclose(mirrored, P, atol=1e-9)


def test_whitened_vectors_have_unit_length_and_a_vector_of_zeros_stays_one() -> None:
    V = vectors()
    V[5] = 0
    made = learn_whitening(vectors())(V)
    np.testing.assert_allclose(np.delete(np.linalg.norm(made, axis=1), 5), 1)
    assert not made[5].any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 12), st.integers(1, 12), st.integers(1, 12), st.integers(0, 999), st.sampled_from([1e-9, 1, 1e9]))
def test_there_are_as_many_dimensions_as_vary(n: int, c: int, inner: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    V = scale * (rng.normal(0, 1, (n, inner)) @ rng.normal(0, 1, (inner, c)) + rng.normal(0, 1, c))
    made = learn_whitening(V)
    assert made.dimensions == min(n - 1, c, inner)
    projected = made.projected(V)
    np.testing.assert_allclose(projected.T @ projected / n, np.eye(made.dimensions), atol=1e-3)
    with pytest.raises(UsageError, match=f"{made.dimensions} dimensions vary; take 1 to"):
        learn_whitening(V, made.dimensions + 1)


@pytest.mark.parametrize("shrinkage", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("kept", [None, 3])
def test_shrinkage_adds_a_share_of_the_largest_variance_to_all(shrinkage: float, kept: int | None) -> None:
    V = vectors()
    variances, directions = np.linalg.eigh(np.cov(V.T, bias=True))
    P = (directions / np.sqrt(variances + shrinkage * variances.max())).T[::-1][:kept]
    expected = (V - V.mean(axis=0)) @ P.T
    ours = learn_whitening(V, kept, shrinkage).projected(V)
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), rtol=1e-9, atol=1e-12)


def test_no_shrinkage_is_what_it_was() -> None:
    assert learn_whitening(vectors()).projection.tobytes() == learn_whitening(vectors(), None, 0.0).projection.tobytes()


@pytest.mark.parametrize("shrinkage", [-0.1, 1.5, float("nan")])
def test_a_shrinkage_that_is_no_share_is_refused(shrinkage: float) -> None:
    with pytest.raises(UsageError, match="shrinkage of 0 to 1 is needed"):
        learn_whitening(vectors(), shrinkage=shrinkage)


def test_more_vectors_than_a_block_are_one_set() -> None:
    V = vectors(5000, 4)
    np.testing.assert_allclose(learn_whitening(V).mean, V.mean(axis=0), rtol=1e-12)
    projected = learn_whitening(V).projected(V)
    np.testing.assert_allclose(projected.T @ projected / 5000, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("dimensions", [0, -1, 9])
def test_dimensions_that_are_not_there_are_refused(dimensions: int) -> None:
    with pytest.raises(UsageError, match="8 dimensions vary; take 1 to 8, found"):
        learn_whitening(vectors(), dimensions)


@pytest.mark.parametrize(
    ("V", "sentence"),
    [
        (np.zeros((1, 3)), "at least two vectors"),
        (np.zeros((0, 3)), "at least two vectors"),
        (np.zeros((5, 0)), "at least two vectors"),
        (np.zeros(5), "at least two vectors"),
        (np.ones((5, 3)), "all 5 vectors are the same"),
        (np.array([[1.0, np.nan], [0.0, 1.0], [np.inf, 0.0]]), "2 of 3 vectors have a value that is not finite"),
    ],
)
def test_vectors_that_cannot_be_learnt_from_are_refused(V: Any, sentence: str) -> None:
    with pytest.raises(ArrayError, match=sentence):
        learn_whitening(V)


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(ArrayError, match=r"vectors \(n, 8\) are needed, found \(2, 7\)"):
        learn_whitening(vectors())(np.ones((2, 7)))


def test_results_have_the_type_of_the_vectors_and_learning_is_in_float64() -> None:
    V = vectors().astype(np.float32)
    learnt = learn_whitening(V)
    assert learnt.mean.dtype == learnt.projection.dtype == np.float64
    assert learnt(V).dtype == np.float32
    np.testing.assert_allclose(learnt(V), learnt(V.astype(np.float64)), atol=1e-4)


def test_it_runs_on_a_foreign_device_also_when_it_was_learnt_on_the_host() -> None:
    V = vectors()
    ours, theirs = learn_whitening(V, 5), learn_whitening(away(V), 5)
    np.testing.assert_allclose(home(theirs.projection), ours.projection, atol=1e-9)
    np.testing.assert_allclose(home(theirs(away(V))), ours(V), atol=1e-9)
    np.testing.assert_allclose(home(ours(away(V))), ours(V), atol=1e-9)


def test_a_whitening_of_figures_worked_by_hand() -> None:
    made = Whitening(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 2.0]]))
    assert made.projected(np.array([[4.0, 4.0]])).tolist() == [[3, 4]]
    np.testing.assert_allclose(made(np.array([[4.0, 4.0]])), [[0.6, 0.8]])


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_it_is_pytorchs() -> None:
    import torch

    V = vectors()
    x = torch.from_numpy(V)
    centred = x - x.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred / len(x))
    P = (directions.flip(1) / values.flip(0).sqrt()).T[:5]
    expected = torch.nn.functional.normalize((x - x.mean(dim=0)) @ P.T, dim=1).numpy()
    ours = learn_whitening(V, 5)(V)
    np.testing.assert_allclose(ours @ ours.T, expected @ expected.T, atol=1e-5)
