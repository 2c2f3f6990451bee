"""Boxes of pictures on smaller copies of them."""

from __future__ import annotations

import numpy as np
import pytest

from dff_onnx.records import Box
from dff_onnx.report.panels import shown_box

COPY = np.zeros((50, 200, 3), np.uint8)


@pytest.mark.parametrize(
    "box", [Box(400, 0, 440, 20), Box(500, 10, 600, 21), Box(0, 100, 40, 120), Box(410, 110, 420, 120)]
)
def test_a_box_outside_its_picture_is_none(box: Box) -> None:
    assert shown_box(box, (100, 400), COPY) is None


def test_a_box_that_is_partly_outside_is_cut() -> None:
    assert shown_box(Box(390, 90, 440, 120), (100, 400), COPY) == Box(195, 45, 200, 50)


def test_a_box_inside_keeps_a_pixel_at_least() -> None:
    assert shown_box(Box(399, 99, 400, 100), (100, 400), np.zeros((5, 20, 3), np.uint8)) == Box(19, 4, 20, 5)
