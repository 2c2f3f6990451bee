"""Saliency precision: how much of a saliency map lies on the object (Simeoni et al. 2017, arXiv:1709.04725)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError
from dff_onnx.metrics.overlap import check_masks
from dff_onnx.records import Box


def saliency_precision(heat: NDArray[Any], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None = None) -> float:
    """The sum of a map on the object, as a share of its sum over the picture, 0..1.

    A uniform map has the share of the picture that the object takes.

    Args:
        heat: `(H, W)` saliency, `>= 0`, at the size of the truth.
        truth: `(H, W)` bool, the object; `inside_boxes` makes it of boxes.
        void: `(H, W)` bool, pixels about which the truth says nothing: they are in neither sum.

    Returns:
        nan of a map without mass, which averages leave out.

    Raises:
        ArrayError: for shapes that differ, or a map that is negative or not finite.

    >>> saliency_precision(np.array([[3.0, 1.0]]), np.array([[True, False]]))
    0.75
    """
    check_masks(heat.shape[-2:], truth=truth, void=void)
    values = np.asarray(heat, np.float64)
    if values.ndim != 2 or not (np.isfinite(values) & (values >= 0)).all():
        raise ArrayError(f"a saliency map (H, W) is needed, finite and not negative; found {values.shape}")
    peak = values.max(initial=0)
    values = values / (peak or 1.0)  # sums of large values stay in range
    if void is not None:
        values = np.where(void, 0.0, values)
    total = float(values.sum())
    return min(1.0, float(values[truth].sum()) / total) if total else math.nan


def inside_boxes(boxes: Sequence[Box], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside any of some boxes, `(height, width)`; what of a box is outside the picture does not count.

    >>> inside_boxes([Box(1, 0, 3, 1)], 1, 4).tolist()
    [[False, True, True, False]]
    """
    inside = np.zeros((height, width), np.bool_)
    for box in boxes:
        inside[max(box.y0, 0) : max(box.y1, 0), max(box.x0, 0) : max(box.x1, 0)] = True
    return inside
