"""One picture at several sizes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import given
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.records import Grid
from dff_onnx.retrieval import SCALES, over_scales, target_sizes

SIDES = st.integers(1, 3000)


def test_scales_are_those_of_the_field() -> None:
    np.testing.assert_allclose(SCALES, [1, 1 / np.sqrt(2), 1 / 2])


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [
        ((1024, 768), 32, [(1024, 768), (724, 543), (512, 384)]),
        ((60, 120), 32, [(60, 120), (42, 84), (32, 64)]),  # half of 60 would leave no cell
        ((32, 100), 32, [(32, 100)]),
        ((16, 40), 32, [(32, 80)]),
    ],
)
def test_sizes_are_scaled_as_far_as_the_stride_allows(size: Any, stride: int, expected: Any) -> None:
    assert [(g.height, g.width) for g in target_sizes(Grid(*size), stride)] == expected


@given(SIDES, SIDES, st.integers(1, 64))
def test_sizes_fall_and_no_side_is_below_the_stride(height: int, width: int, stride: int) -> None:
    found = target_sizes(Grid(height, width), stride)
    assert 1 <= len(found) <= 3
    assert all(min(g.height, g.width) >= stride for g in found)
    assert all(a.cells > b.cells for a, b in pairwise(found))
    if min(height, width) >= stride:
        assert found[0] == Grid(height, width)


@given(SIDES, st.integers(1, 3000))
def test_a_side_that_comes_out_whole_is_not_cut(shorter: int, stride: int) -> None:
    assert target_sizes(Grid(shorter, 2 * shorter), stride, [stride / shorter])[0] == Grid(stride, 2 * stride)


@pytest.mark.parametrize(("size", "stride", "scales"), [((0, 5), 1, SCALES), ((5, 5), 0, SCALES), ((5, 5), 1, ()),
                                                        ((5, 5), 1, (1, -1))])  # fmt: skip
def test_figures_that_are_not_positive_are_refused(size: Any, stride: int, scales: Any) -> None:
    with pytest.raises(UsageError, match="scales: positive figures are needed"):
        target_sizes(Grid(*size), stride, scales)


def test_every_size_weighs_the_same() -> None:
    rng = np.random.default_rng(0)
    sizes = [rng.random((4, 6)) * scale for scale in (1, 100, 0.01)]
    total = sum(one / np.linalg.norm(one, axis=1, keepdims=True) for one in sizes)
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(over_scales(sizes), expected, rtol=1e-9)
    np.testing.assert_allclose(home(over_scales([away(one) for one in sizes])), expected, rtol=1e-9)


def test_one_size_is_its_descriptor_and_zeros_stay() -> None:
    V = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(over_scales([V]), [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(over_scales([V, V]), [[0.6, 0.8], [0, 0]])


@pytest.mark.parametrize("descriptors", [[], [np.ones((2, 3)), np.ones((2, 4))]])
def test_descriptors_that_do_not_belong_together_are_refused(descriptors: Any) -> None:
    with pytest.raises(ArrayError, match="of one shape are needed"):
        over_scales(descriptors)
