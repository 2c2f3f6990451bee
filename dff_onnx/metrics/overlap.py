"""Intersection over union: of boxes, and of masks as counts that can be summed before they are divided."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError
from dff_onnx.records import Box


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels of an intersection and of a union. Counts of several images add up.

    >>> (Counts(1, 2) + Counts(1, 6)).iou
    0.25
    """

    inter: int
    union: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.inter + other.inter, self.union + other.union)

    @property
    def iou(self) -> float:
        """Their ratio, 0..1. An empty union says nothing: it gives nan, which averages leave out."""
        return self.inter / self.union if self.union else math.nan


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    Boxes are half-open. VOC and ILSVRC write inclusive corners and count `x2 - x1 + 1` pixels a side; the box
    `(x1 - 1, y1 - 1, x2, y2)` has the same pixels, so the plain IoU here is their IoU of "+1 pixels".

    Returns:
        nan where both boxes are empty.

    Raises:
        ArrayError: when a box ends before it begins.

    >>> box_iou(Box(0, 0, 2, 1), Box(0, 0, 4, 1))
    0.5
    """
    for box in (a, b):
        if box.x1 < box.x0 or box.y1 < box.y0:
            raise ArrayError(f"{box} ends before it begins")
    width = max(0, min(a.x1, b.x1) - max(a.x0, b.x0))
    height = max(0, min(a.y1, b.y1) - max(a.y0, b.y0))
    return Counts(width * height, a.area + b.area - width * height).iou


def mask_counts(on: NDArray[np.bool_], truth: NDArray[np.bool_], void: NDArray[np.bool_] | None = None) -> Counts:
    """Intersection and union of two masks.

    Args:
        on, truth: `(H, W)` bool.
        void: `(H, W)` bool, pixels about which the truth says nothing: they are in neither count.

    Raises:
        ArrayError: when the masks are not boolean, or not of one shape.

    >>> mask_counts(np.array([[True, True, True]]), np.array([[True, False, False]]), np.array([[False, False, True]]))
    Counts(inter=1, union=2)
    """
    check_masks(on.shape[-2:], on=on, truth=truth, void=void)
    both, either = on & truth, on | truth
    if void is not None:
        both, either = both & ~void, either & ~void
    return Counts(int(np.count_nonzero(both)), int(np.count_nonzero(either)))


def check_masks(shape: tuple[int, ...], **masks: NDArray[np.bool_] | None) -> None:
    """Refuses masks that are not boolean `shape`, and names them; None passes."""
    for name, mask in masks.items():
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != shape or len(shape) < 2):
            raise ArrayError(f"{name} is {mask.dtype} {mask.shape}, and a boolean mask of the shape {shape} is needed")
