"""IoU of boxes and masks against pycocotools and scikit-learn, and at its borders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco
from sklearn.metrics import jaccard_score

from dff_onnx.errors import ArrayError
from dff_onnx.metrics import Counts, box_iou, corloc, localized, mask_counts
from dff_onnx.records import Box

SIDES = st.integers(0, 30)


def boxes() -> st.SearchStrategy[Box]:
    return st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), SIDES, SIDES, st.integers(1, 20), st.integers(1, 20))


def voc_iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Of inclusive corners, as VOCevaldet.m has it."""
    iw, ih = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
    if iw <= 0 or ih <= 0:
        return 0.0
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return iw * ih / (sum(areas) - iw * ih)


def random_masks(seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 20, 2)
    on, truth, void = rng.random((3, height, width)) < rng.random((3, 1, 1))
    return on, truth, void


@settings(max_examples=200, deadline=None, derandomize=True)
@given(boxes(), boxes())
def test_box_iou_is_pycocotools(a: Box, b: Box) -> None:
    theirs = coco.iou(*([[float(c.x0), float(c.y0), float(c.x1 - c.x0), float(c.y1 - c.y0)]] for c in (a, b)), [0])
    assert box_iou(a, b) == pytest.approx(float(theirs[0, 0]), abs=1e-12)
    assert box_iou(a, b) == box_iou(b, a)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(boxes(), boxes())
def test_half_open_boxes_have_the_iou_that_voc_has_of_inclusive_ones(a: Box, b: Box) -> None:
    inclusive = [(c.x0 + 1, c.y0 + 1, c.x1, c.y1) for c in (a, b)]
    assert box_iou(a, b) == voc_iou(*inclusive)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(boxes(), boxes())
def test_box_iou_is_the_iou_of_the_boxes_drawn_as_masks(a: Box, b: Box) -> None:
    drawn = np.zeros((2, 60, 60), np.bool_)
    for canvas, box in zip(drawn, (a, b), strict=True):
        canvas[box.y0 : box.y1, box.x0 : box.x1] = True
    assert box_iou(a, b) == mask_counts(*drawn).iou


@pytest.mark.parametrize("seed", range(30))
def test_mask_iou_is_pycocotools_and_scikit_learns(seed: int) -> None:
    on, truth, void = random_masks(seed)
    counts = mask_counts(on, truth)
    if counts.union:
        coded = [coco.encode(np.asfortranarray(mask, np.uint8)) for mask in (on, truth)]
        assert counts.iou == pytest.approx(float(coco.iou([coded[0]], [coded[1]], [0])[0, 0]), abs=1e-12)
        assert counts.iou == pytest.approx(jaccard_score(truth.ravel(), on.ravel()))
    kept = mask_counts(on, truth, void)
    assert kept == Counts(int((on & truth)[~void].sum()), int((on | truth)[~void].sum()))


def test_counts_are_summed_before_they_are_divided() -> None:
    large, small = Counts(90, 100), Counts(0, 100)
    assert sum([large, small], Counts(0, 0)).iou == 0.45
    assert math.isnan(Counts(0, 0).iou)
    assert math.isnan(box_iou(Box(1, 1, 1, 4), Box(1, 1, 1, 4)))


def test_corloc_is_strict_at_one_half() -> None:
    truth = Box(0, 0, 10, 10)
    assert box_iou(Box(0, 0, 10, 5), truth) == 0.5
    assert not localized(Box(0, 0, 10, 5), [truth])
    assert localized(Box(0, 0, 10, 6), [truth])
    assert localized(Box(0, 0, 10, 5), [Box(50, 50, 60, 60), Box(0, 0, 10, 6)])  # one true box is enough


def test_one_pixel_more_decides_as_voc_decides() -> None:
    # Inclusive 1..2 in 1..4: with +1 pixels 2/4, without 1/3. Inclusive 1..3: 3/4, and without 2/3.
    assert not localized(Box(0, 0, 2, 1), [Box(0, 0, 4, 1)])
    assert box_iou(Box(0, 0, 2, 1), Box(0, 0, 4, 1)) == 0.5
    assert box_iou(Box(0, 0, 3, 1), Box(0, 0, 4, 1)) == 0.75


def test_no_box_is_a_miss_and_boxes_that_touch_do_not_meet() -> None:
    assert not localized(None, [Box(0, 0, 1, 1)], threshold=0.0)
    assert not localized(Box(0, 0, 1, 1), [], threshold=0.0)
    assert not localized(Box(0, 0, 1, 1), [Box(1, 0, 2, 1)], threshold=0.0)
    assert corloc([True, True, False]) == pytest.approx(2 / 3)
    assert math.isnan(corloc([]))


@pytest.mark.parametrize(
    "masks",
    [
        (np.ones((2, 2), np.bool_), np.ones((2, 3), np.bool_)),
        (np.ones((2, 2), np.bool_), np.ones((2, 2), np.uint8)),
        (np.ones((2, 2), np.bool_), np.ones((2, 2), np.bool_), np.ones((1, 2), np.bool_)),
        (np.ones(4, np.bool_), np.ones(4, np.bool_)),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: tuple[NDArray[np.bool_], ...]) -> None:
    with pytest.raises(ArrayError, match="a boolean mask of the shape"):
        mask_counts(*masks)


def test_a_box_inside_out_is_refused() -> None:
    with pytest.raises(ArrayError, match="ends before it begins"):
        box_iou(Box(0, 0, 1, 1), Box(3, 0, 1, 1))
