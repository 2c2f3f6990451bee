"""The core keeps to the array API standard: it runs on a device that NumPy cannot reach, with NumPy's results."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from matrices import activations

from dff_onnx.factorization import DFF, factorize, nonnegative_least_squares

DEVICE = array_api_strict.Device("device1")


def away(array: np.ndarray[Any, Any]) -> Any:
    return array_api_strict.asarray(array, device=DEVICE)


def home(array: Any) -> np.ndarray[Any, Any]:
    assert array.device == DEVICE
    return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))


@pytest.mark.parametrize(("solver", "k"), [("coreset", 1), ("coreset", 4), ("hals", 4), ("mu", 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solvers_run_on_a_foreign_device_and_agree_with_numpy(solver: Any, k: int, dtype: Any) -> None:
    # One start: which of two equal starts wins is a matter of the last bit.
    A, options = activations().astype(dtype), {"solver": solver, "starts": 1, "max_iter": 20}
    ours, theirs = factorize(A, k, **options), factorize(away(A), k, **options)
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-5)
    # Around an optimum the loss is flat: float32 tells losses apart to 1e-7, and concepts to the root of that.
    near = 1e-5 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(home(theirs.W), ours.W, atol=near)
    np.testing.assert_allclose(home(theirs.H), ours.H, atol=2 * near * ours.H.max())


def test_sampling_rows_runs_on_a_foreign_device() -> None:
    A = activations(rows=21_000, channels=16)
    assert factorize(away(A), 2).loss == pytest.approx(factorize(A, 2).loss, rel=1e-5)


def test_projection_and_estimator_run_on_a_foreign_device() -> None:
    A = activations()
    model = DFF(3).fit(away(A))
    ours = nonnegative_least_squares(A, home(model.components_))
    np.testing.assert_allclose(home(model.transform(away(A))), ours, atol=1e-4 * ours.max())
