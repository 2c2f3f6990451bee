from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matrices import activations

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import DFF, factorize


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
