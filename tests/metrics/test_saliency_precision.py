"""Saliency precision against sums over boxes, and at its borders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError
from dff_onnx.metrics import inside_boxes, saliency_precision
from dff_onnx.records import Box


def random_case(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 20, 2).tolist())
    return rng.random(shape), rng.random(shape) < rng.random()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_it_is_the_share_of_the_sum_inside_whatever_the_height_of_the_map(seed: int) -> None:
    heat, truth = random_case(seed)
    inside = sum(heat[place] for place in np.ndindex(*heat.shape) if truth[place])
    assert saliency_precision(heat, truth) == pytest.approx(inside / heat.sum())
    assert saliency_precision(heat * 1e-30, truth) == pytest.approx(inside / heat.sum())
    assert saliency_precision(heat, truth) + saliency_precision(heat, ~truth) == pytest.approx(1)


def test_a_uniform_map_has_the_share_of_the_object() -> None:
    truth = inside_boxes([Box(0, 0, 2, 2)], 4, 5)
    assert saliency_precision(np.full((4, 5), 7.0), truth) == pytest.approx(0.2)


def test_a_map_on_the_object_alone_has_all_and_one_beside_it_nothing() -> None:
    truth = inside_boxes([Box(1, 1, 3, 2)], 3, 3)
    assert saliency_precision(truth.astype(np.float32), truth) == 1
    assert saliency_precision((~truth).astype(np.float32), truth) == 0


def test_a_map_without_mass_says_nothing() -> None:
    assert math.isnan(saliency_precision(np.zeros((2, 2)), np.ones((2, 2), np.bool_)))


def test_void_pixels_are_in_neither_sum() -> None:
    heat = np.array([[4.0, 2.0, 2.0]])
    truth, void = np.array([[True, True, False]]), np.array([[True, False, False]])
    assert saliency_precision(heat, truth, void) == 0.5
    assert math.isnan(saliency_precision(heat, truth, np.ones((1, 3), np.bool_)))


def test_large_values_of_single_precision_do_not_overflow() -> None:
    heat = np.full((300, 300), 3e38, np.float32)
    assert saliency_precision(heat, inside_boxes([Box(0, 0, 300, 150)], 300, 300)) == pytest.approx(0.5)


def test_boxes_overlap_once_and_end_at_the_picture() -> None:
    boxes = [Box(0, 0, 2, 2), Box(1, 1, 9, 3), Box(-5, -5, 0, 9), Box(7, 0, 8, 9)]
    expected = np.zeros((3, 4), np.bool_)
    expected[:2, :2] = expected[1:, 1:] = True
    assert (inside_boxes(boxes, 3, 4) == expected).all()


@pytest.mark.parametrize("heat", [np.array([[-1.0]]), np.array([[math.inf]]), np.ones((1, 1, 1)), np.ones((1, 2))])
def test_maps_that_cannot_be_are_refused(heat: Any) -> None:
    with pytest.raises(ArrayError, match="needed"):
        saliency_precision(heat, np.ones((1, 1), np.bool_))
