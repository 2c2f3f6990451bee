from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matrices import activations

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import DFF, factorize
from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.survey import survey


@pytest.mark.parametrize(
    ("A", "found"),
    [
        (np.zeros((0, 4)), "shape"),
        (np.zeros((4, 0)), "shape"),
        (np.zeros(4), "shape"),
        (np.zeros((2, 2, 2)), "shape"),
        (np.array([[1.0, -0.25], [1.0, 1.0]]), "-0.25"),
        (np.array([[1.0, np.nan], [1.0, 1.0]]), "NaN"),
        (np.array([[1.0, np.inf], [1.0, 1.0]]), "infinite"),
        (np.array([[1 + 1j, 0], [0, 1]]), "complex"),
        (np.array([["a", "b"]]), "floating-point"),
        ([[True, False]], "bool"),
    ],
)
def test_a_matrix_that_cannot_be_factorized_is_refused_with_what_was_found(A: Any, found: str) -> None:
    with pytest.raises(ArrayError, match=found):
        factorize(A, 1)


@pytest.mark.parametrize("k", [0, -1, 65, 601, 2.0, "3", True, None])
def test_an_impossible_rank_is_refused(k: Any) -> None:
    with pytest.raises(UsageError, match="k: "):
        factorize(activations(), k)


@pytest.mark.parametrize("options", [{"solver": "adam"}, {"max_iter": 0}, {"starts": 0}, {"tol": -1.0}])
def test_an_impossible_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        factorize(activations(), 2, **options)


def test_lists_and_whole_numbers_are_accepted() -> None:
    assert factorize([[2, 0], [0, 1]], 2).loss == pytest.approx(0, abs=1e-12)


def test_a_matrix_of_zeros_has_a_factorization_of_zeros() -> None:
    for solver in ("hals", "mu"):
        for k in (1, 3):
            found = factorize(np.zeros((10, 5), np.float32), k, solver=solver)  # type: ignore[arg-type]
            assert found.loss == 0 and not found.H.any() and np.isfinite(found.W).all()


def test_the_estimator_refuses_other_channels_and_a_transform_before_fit() -> None:
    with pytest.raises(UsageError, match="fit"):
        DFF(2).transform(activations())
    with pytest.raises(ArrayError, match="63 channels"):
        DFF(2).fit(activations()).transform(activations()[:, :63])
    with pytest.raises(UsageError, match="n_component"):
        DFF().set_params(n_component=3)


def test_the_estimator_keeps_scikit_learns_manners() -> None:
    from sklearn.base import clone
    from sklearn.pipeline import make_pipeline

    A = activations()
    model = DFF(n_components=3, random_state=1)
    H = model.fit_transform(A)
    assert H.shape == (600, 3) and model.components_.shape == (3, 64)
    np.testing.assert_allclose(model.transform(A), H, atol=1e-3 * H.max())
    np.testing.assert_allclose(np.linalg.norm(A - model.inverse_transform(H)), model.reconstruction_err_, rtol=1e-5)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert make_pipeline(twin).fit_transform(A).tobytes() == H.tobytes()


def test_the_estimator_learns_from_rows_that_come_once() -> None:
    A = activations(rows=30_000, channels=40, concepts=8)
    once = DFF(4).fit(iter(np.split(A, 10)))
    by_hand = DFF(4)
    for part in np.split(A, 10):
        by_hand.partial_fit(part)
    assert by_hand.n_samples_seen_ == len(A)
    assert by_hand.components_.tobytes() == once.components_.tobytes()
    whole = factorize(A, 4)
    H = once.transform(A).astype(np.float64)
    reached = np.sum((A - H @ once.components_) ** 2) / np.sum(A.astype(np.float64) ** 2)
    assert whole.loss <= reached <= whole.loss * 1.005
    assert once.loss_ == pytest.approx(reached, rel=0.02)  # the sample's, an estimate
    assert once.n_iter_ == 0 and once.n_features_in_ == 40


def test_a_stream_keeps_copies_of_what_it_was_given() -> None:
    A, buffer, model = activations(), np.empty((600, 64), np.float32), DFF(3)
    for _ in range(2):
        buffer[:] = A
        model.partial_fit(buffer)
        buffer[:] = 0
    assert model.components_.tobytes() == DFF(3).partial_fit(A).partial_fit(A).components_.tobytes()


def test_a_stream_draws_the_sample_of_the_blocks_it_was_given() -> None:
    A = activations(rows=20_000, channels=16)
    model = DFF(3)
    for part in np.split(A, [4096, 10_240]):
        model.partial_fit(part)
    S = survey(rows_of(A), 3, 0).sample
    assert model._stream._tally.sample().tobytes() == S.tobytes()


def test_more_rows_change_what_was_learned_and_fit_forgets_them() -> None:
    A, other = activations(seed=1), activations(seed=2)
    model = DFF(3).partial_fit(A)
    first = model.components_
    assert first.tobytes() == factorize(A, 3).W.tobytes()
    assert model.partial_fit(other).components_.tobytes() != first.tobytes()
    assert model.fit(other).components_.tobytes() == factorize(other, 3).W.tobytes()
    assert model.partial_fit(A).n_samples_seen_ == len(A)


def test_a_stream_refuses_what_it_cannot_take() -> None:
    model = DFF(2).partial_fit(activations())
    with pytest.raises(ArrayError, match="63 channels"):
        model.partial_fit(activations()[:, :63])
    with pytest.raises(ArrayError, match="overflow"):
        model.partial_fit(np.full((2, 64), 1e30, np.float32))
    with pytest.raises(ArrayError, match="-1"):
        model.partial_fit(-np.ones((2, 64), np.float32))
    with pytest.raises(ArrayError, match="no row came"):
        DFF(2).fit(iter([]))
    with pytest.raises(AttributeError):
        DFF(2).components_  # noqa: B018
    with pytest.raises(UsageError, match="k: 5 concepts"):
        DFF(5).partial_fit(np.ones((3, 64))).components_  # noqa: B018
