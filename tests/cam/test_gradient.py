"""Grad-CAM: a linear head's gradient is what small steps find, and its map is the rectified class map."""

from __future__ import annotations

import itertools
from typing import Any

import array_api_strict
import numpy as np
import pytest

from dff_onnx.cam.class_maps import class_maps
from dff_onnx.cam.gradient import gradient_map, gradient_weights, head_gradient, head_weights
from dff_onnx.linear_head import LinearHead

CLASSES = np.array([2, 0])
HEADS = [
    *({"pool": pool, "rectified": rectified} for pool, rectified in itertools.product(("mean", "max", "sum"), (0, 1))),
    {"pool": "mean", "unit": True},
    {"pool": "max", "unit": True},
]


def activations(n: int = 2, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.2, 1, (n, 3, 4, 5))


def head(**options: Any) -> LinearHead:
    rng = np.random.default_rng(1)
    return LinearHead(rng.normal(0, 1, (4, 5)), rng.normal(0, 0.3, 4), **options)


@pytest.mark.parametrize("options", HEADS)
def test_the_gradient_of_a_head_is_what_small_steps_find(options: dict[str, Any]) -> None:
    A, ours = activations(), head(**options)
    expected, step = np.zeros_like(A), 1e-6
    for place in np.ndindex(*A.shape):
        up, down = A.copy(), A.copy()
        up[place] += step
        down[place] -= step
        change = ours.scores(up) - ours.scores(down)
        expected[place] = change[place[0], CLASSES[place[0]]] / (2 * step)
    np.testing.assert_allclose(head_gradient(A, ours, CLASSES), expected, atol=1e-7)


def test_of_equal_maxima_the_first_gets_the_gradient() -> None:
    gradients = head_gradient(np.ones((1, 2, 2, 1)), LinearHead(np.ones((1, 1)), np.zeros(1), "max"), np.array([0]))
    assert gradients.ravel().tolist() == [1, 0, 0, 0]


def test_features_of_zero_length_have_the_gradient_of_their_weights() -> None:
    ours = head(pool="sum", unit=True)
    found = head_gradient(np.zeros((1, 2, 2, 5)), ours, np.array([1]))
    np.testing.assert_allclose(found, np.broadcast_to(ours.weights[1], found.shape))


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_for_a_pooled_linear_head_grad_cam_is_the_rectified_class_map_up_to_scale(pool: Any) -> None:
    A, ours = activations(), head(pool=pool)
    found = gradient_map(A, gradient_weights(head_gradient(A, ours, CLASSES)))
    expected = np.maximum(class_maps(A, ours, CLASSES[:, None])[:, 0], 0)
    np.testing.assert_allclose(found, expected / (12 if pool == "mean" else 1))


def test_several_classes_of_a_picture_have_their_own_maps() -> None:
    A, ours = activations(), head(rectified=True)
    classes = np.array([[2, 1, 3], [0, 3, 1]])
    weights = head_weights(A, ours, classes)
    maps = gradient_map(A, weights)
    assert (weights.shape, maps.shape) == ((2, 3, 5), (2, 3, 3, 4))
    for i in range(3):
        alone = gradient_weights(head_gradient(A, ours, classes[:, i]))
        np.testing.assert_allclose(maps[:, i], gradient_map(A, alone))
        np.testing.assert_allclose(maps[:, i], np.maximum(np.einsum("nhwc,nc->nhw", A, alone), 0), atol=1e-12)


@pytest.mark.parametrize("options", HEADS)
def test_it_runs_on_a_foreign_device(options: dict[str, Any]) -> None:
    device = array_api_strict.Device("device1")
    A = activations()
    away = array_api_strict.asarray(A, device=device)
    weights = head_weights(away, head(**options), CLASSES[:, None])
    found = gradient_map(away, weights)
    assert found.device == device
    home = np.asarray(found.to_device(array_api_strict.Device("CPU_DEVICE")))
    expected = gradient_map(A, head_weights(A, head(**options), CLASSES[:, None]))
    np.testing.assert_allclose(home, expected, atol=1e-12)
