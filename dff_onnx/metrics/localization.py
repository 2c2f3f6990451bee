"""CorLoc: in how many images the box is found. One box an image (DFF, section 4.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dff_onnx.metrics.overlap import box_iou
from dff_onnx.records import Box


def localized(box: Box | None, truths: Sequence[Box], threshold: float = 0.5) -> bool:
    """Whether a box has an IoU above the threshold with at least one true box.

    Above is strict: the paper's IoU "exceeds 0.5".

    Args:
        box: None where the mask is empty, which is a miss.
        truths: all boxes of the class in the image.
        threshold: of the IoU.

    >>> localized(Box(0, 0, 2, 1), [Box(0, 0, 4, 1)])
    False
    """
    return box is not None and any(box_iou(box, truth) > threshold for truth in truths)


def corloc(hits: Sequence[bool]) -> float:
    """The share of a class's images that are localized, 0..1; nan of none.

    The published mean is the unweighted mean over classes: `mean_of_ratios` with the classes as groups.

    >>> corloc([True, False, False, True])
    0.5
    """
    return sum(map(bool, hits)) / len(hits) if len(hits) else math.nan
