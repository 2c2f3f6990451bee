"""IoU, coverage, CorLoc, and how sure these figures are. Pure."""

from dff_onnx.metrics.coverage import (
    Agreement,
    Assignment,
    PartCounts,
    agreement,
    assigned,
    best_part_iou,
    coverage,
    labelled,
    part_counts,
    single_part_iou,
    union_counts,
)
from dff_onnx.metrics.localization import corloc, localized
from dff_onnx.metrics.overlap import Counts, box_iou, mask_counts
from dff_onnx.metrics.statistics import Interval, bootstrap_interval, mean_of_ratios, paired_permutation

__all__ = [
    "Agreement",
    "Assignment",
    "Counts",
    "Interval",
    "PartCounts",
    "agreement",
    "assigned",
    "best_part_iou",
    "bootstrap_interval",
    "box_iou",
    "corloc",
    "coverage",
    "labelled",
    "localized",
    "mask_counts",
    "mean_of_ratios",
    "paired_permutation",
    "part_counts",
    "single_part_iou",
    "union_counts",
]
