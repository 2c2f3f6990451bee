"""Class maps: weighed channels, ranked classes, and shares that SciPy has, too."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit, softmax

from dff_onnx.cam.class_maps import class_maps, class_weights, probabilities, ranked_classes
from dff_onnx.linear_head import LinearHead, pooled

DEVICE, HOST = (array_api_strict.Device(name) for name in ("device1", "CPU_DEVICE"))
CLASSES = np.array([[3, 0], [1, 1], [0, 2]])


def drawn(seed: int = 0, **options: Any) -> tuple[Any, LinearHead]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (3, 2, 4, 5)), LinearHead(rng.normal(0, 1, (4, 5)), rng.normal(0, 1, 4), **options)


def by_loop(A: Any, head: LinearHead, classes: Any) -> Any:
    n, h, w, channels = A.shape
    maps = np.zeros((n, classes.shape[1], h, w))
    for i, m, y, x in np.ndindex(maps.shape):
        c = classes[i, m]
        maps[i, m, y, x] = sum(head.weights[c, k] * A[i, y, x, k] for k in range(channels))
        if head.rectified:
            maps[i, m, y, x] = max(maps[i, m, y, x] + head.bias[c], 0)
    return maps


def test_maps_are_figures_worked_by_hand() -> None:
    A = np.array([[[[1.0, 2.0]], [[3.0, -4.0]]], [[[0.0, 1.0]], [[5.0, 0.0]]]])
    weights, bias = np.array([[1.0, 1.0], [0.0, -2.0]]), np.array([-1.0, 100.0])
    maps = class_maps(A, LinearHead(weights, bias), np.array([[0], [1]]))
    assert maps.tolist() == [[[[3], [-1]]], [[[-2], [0]]]]  # (picture, class, 2 rows, 1 column)
    rectified = class_maps(A, LinearHead(weights, bias, rectified=True), np.array([[0, 1], [0, 0]]))
    assert rectified.tolist() == [[[[2], [0]], [[96], [108]]], [[[0], [4]], [[0], [4]]]]


@pytest.mark.parametrize("rectified", [False, True])
def test_maps_are_those_of_a_loop_and_of_the_head(rectified: bool) -> None:
    A, head = drawn(rectified=rectified)
    maps = class_maps(A, head, CLASSES)
    np.testing.assert_allclose(maps, by_loop(A, head, CLASSES), atol=1e-12)
    whole = head.maps(A)
    for i, wanted in enumerate(CLASSES):
        np.testing.assert_allclose(maps[i], np.moveaxis(whole[i][:, :, wanted], -1, 0), atol=1e-12)
    assert (maps.min() == 0) == rectified


@pytest.mark.parametrize("options", [{}, {"pool": "sum"}, {"rectified": True}, {"rectified": True, "pool": "max"}])
def test_pooled_maps_are_the_scores_but_for_the_bias(options: dict[str, Any]) -> None:
    A, head = drawn(**options)
    everything = np.tile(np.arange(4), (3, 1))
    found = pooled(np.moveaxis(class_maps(A, head, everything), 1, -1), head.pool)
    np.testing.assert_allclose(found + (0 if head.rectified else head.bias), head.scores(A), atol=1e-12)


@pytest.mark.parametrize("rectified", [False, True])
def test_it_runs_on_a_foreign_device(rectified: bool) -> None:
    A, head = drawn(rectified=rectified)
    far = array_api_strict.asarray(A, device=DEVICE)
    for found, expected in (
        (class_maps(far, head, CLASSES), class_maps(A, head, CLASSES)),
        (class_weights(far[0, 0, ...], head), class_weights(A[0, 0], head)),
    ):
        assert found.device == DEVICE
        np.testing.assert_allclose(np.asarray(found.to_device(HOST)), expected, atol=1e-12)


def test_maps_have_the_type_of_the_activations() -> None:
    A, head = drawn()
    assert class_maps(A.astype(np.float32), head, CLASSES).dtype == np.float32


def test_a_concepts_weights_are_the_class_maps_where_nothing_but_it_is_seen() -> None:
    A, head = drawn(rectified=True)
    W = A[0, 0]
    alone = class_maps(W[:, None, None], head, np.tile(np.arange(4), (4, 1)))
    np.testing.assert_allclose(class_weights(W, head), alone[:, :, 0, 0], atol=1e-12)


def test_the_best_classes_come_first_and_of_equal_ones_the_lower_number() -> None:
    scores = np.array([[1, 3, 3, 2, 3], [0, 0, 0, 0, 0], [-1, -2, -0.5, -2, 7]], np.float32)
    assert ranked_classes(scores, 3).tolist() == [[1, 2, 4], [0, 1, 2], [4, 2, 0]]
    assert ranked_classes(scores, 9).tolist() == [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4], [4, 2, 0, 1, 3]]
    assert ranked_classes(scores, 1)[:, 0].tolist() == scores.argmax(axis=1).tolist()


FIGURES = arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 8)), elements=st.integers(-3, 3))


@settings(max_examples=100, deadline=None)
@given(FIGURES, st.integers(1, 9))
def test_ranks_are_those_of_pythons_sort(scores: Any, count: int) -> None:
    expected = [sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))[:count] for row in scores.tolist()]
    assert ranked_classes(scores, count).tolist() == expected


HUGE = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 8)), elements=HUGE))
def test_shares_are_scipys(scores: Any) -> None:
    found = probabilities(scores)
    np.testing.assert_allclose(found, softmax(scores.astype(np.float64), axis=1), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(1)), elements=HUGE))
def test_the_share_of_a_single_class_is_scipys_logistic_function(scores: Any) -> None:
    np.testing.assert_allclose(probabilities(scores), expit(scores.astype(np.float64)), rtol=1e-12, atol=1e-300)


def test_the_largest_scores_that_float32_holds_have_shares() -> None:
    most = np.finfo(np.float32).max
    assert probabilities(np.array([[most, -most, most], [-most, -most, -most]], np.float32)).tolist() == [
        [0.5, 0.0, 0.5],
        [1 / 3, 1 / 3, 1 / 3],
    ]
