"""Eigen-CAM is the leading singular pair of each picture: DFF of one concept a picture."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest

from dff_onnx.cam.eigen import eigen_map
from dff_onnx.errors import ArrayError
from dff_onnx.factorization import factorize

# Fewer places than channels, and more.
SHAPES = [(3, 4, 5, 32), (3, 7, 6, 8), (40, 2, 2, 5)]


def random(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.3, 1, shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_map_is_that_of_a_singular_value_decomposition(shape: tuple[int, ...], dtype: Any) -> None:
    A = random(shape).astype(dtype)
    found = eigen_map(A)
    assert (found.shape, found.dtype) == (shape[:3], dtype)
    for picture, one in zip(A, found, strict=True):
        _, _, Vt = np.linalg.svd(picture.reshape(-1, shape[3]).astype(np.float64), full_matrices=False)
        expected = (picture @ Vt[0]) * np.sign((picture @ Vt[0]).sum())
        np.testing.assert_allclose(one, expected, atol=1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_for_activations_it_is_dff_of_one_concept_for_each_picture(shape: tuple[int, ...]) -> None:
    A = np.maximum(random(shape), 0).astype(np.float32)
    found = eigen_map(A)
    assert found.min() >= -1e-6
    for picture, one in zip(A, found, strict=True):
        H = factorize(picture.reshape(-1, shape[3]), 1).H.reshape(one.shape)
        np.testing.assert_allclose(one, H, atol=1e-4 * H.max())


def test_a_black_picture_and_no_picture_have_maps_too() -> None:
    assert not eigen_map(np.zeros((1, 3, 3, 4), np.float32)).any()
    assert eigen_map(np.zeros((0, 3, 3, 4), np.float32)).shape == (0, 3, 3)


def test_what_has_no_grid_or_is_not_finite_is_refused() -> None:
    for wrong in (np.zeros((3, 3, 4)), np.zeros((1, 0, 3, 4))):
        with pytest.raises(ArrayError, match=r"activations \(n, h, w, c\) are needed"):
            eigen_map(wrong)
    broken = np.ones((1, 2, 2, 3))
    broken[0, 1, 1, 0] = np.nan
    with pytest.raises(ArrayError, match="must be finite"):
        eigen_map(broken)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_runs_on_a_foreign_device(shape: tuple[int, ...]) -> None:
    device = array_api_strict.Device("device1")
    found = eigen_map(array_api_strict.asarray(random(shape), device=device))
    assert found.device == device
    home = np.asarray(found.to_device(array_api_strict.Device("CPU_DEVICE")))
    np.testing.assert_allclose(home, eigen_map(random(shape)), atol=1e-9)
