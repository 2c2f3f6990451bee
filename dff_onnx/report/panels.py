"""Several overlays of one picture side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from dff_onnx.records import Box
from dff_onnx.report.overlays import STRIP, Pixels

COLUMNS = 3
GAP = 6
SIDE = 480  # longer side of a picture among others


def side_by_side(sheets: Sequence[Pixels]) -> Pixels:
    """The sheets in rows of three, on a dark ground.

    >>> side_by_side([np.zeros((10, 20, 3), np.uint8)] * 4).shape
    (26, 72, 3)
    """
    rows = [sheets[i : i + COLUMNS] for i in range(0, len(sheets), COLUMNS)]
    widths = [sum(sheet.shape[1] for sheet in row) + GAP * (len(row) - 1) for row in rows]
    heights = [max(sheet.shape[0] for sheet in row) for row in rows]
    ground = Image.new("RGB", (max(widths), sum(heights) + GAP * (len(rows) - 1)), STRIP)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for sheet in row:
            ground.paste(Image.fromarray(sheet), (left, top))
            left += sheet.shape[1] + GAP
        top += height + GAP
    return np.asarray(ground)


def within(picture: Pixels, side: int = SIDE) -> Pixels:
    """The picture with at most so many pixels on its longer side.

    >>> within(np.zeros((100, 400, 3), np.uint8), 200).shape
    (50, 200, 3)
    """
    height, width = picture.shape[:2]
    by = side / max(height, width)
    if by >= 1:
        return picture
    sides = max(1, round(width * by)), max(1, round(height * by))
    return np.asarray(Image.fromarray(picture).resize(sides, Image.Resampling.BILINEAR, reducing_gap=2.0))


def shown_box(box: Box | None, original: tuple[int, int], picture: Pixels) -> Box | None:
    """A box of a picture of `(height, width)` on a smaller copy of it; None where nothing of it is inside.

    >>> shown_box(Box(0, 10, 400, 21), (100, 400), np.zeros((50, 200, 3), np.uint8))
    Box(x0=0, y0=5, x1=200, y1=11)
    """
    if box is None:
        return None
    height, width = picture.shape[:2]
    down, across = height / original[0], width / original[1]
    x1, y1 = min(width, -int(-box.x1 * across // 1)), min(height, -int(-box.y1 * down // 1))
    x0, y0 = max(0, int(box.x0 * across)), max(0, int(box.y0 * down))
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
