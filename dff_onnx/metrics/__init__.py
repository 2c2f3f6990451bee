"""IoU, coverage, CorLoc, the errors of ILSVRC, average precision, and how sure these figures are. Pure."""

from dff_onnx.metrics.average_precision import (
    average_precision,
    mean_over_queries,
    positive_ranks,
    precision_at,
    ranking_of,
)
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
from dff_onnx.metrics.ilsvrc import (
    Guessed,
    PictureErrors,
    classification_error,
    localization_error,
    mean_error,
    picture_errors,
)
from dff_onnx.metrics.localization import corloc, localized
from dff_onnx.metrics.overlap import Counts, box_iou, mask_counts
from dff_onnx.metrics.saliency_precision import inside_boxes, saliency_precision
from dff_onnx.metrics.statistics import Interval, bootstrap_interval, mean_of_ratios, paired_permutation

__all__ = [
    "Agreement",
    "Assignment",
    "Counts",
    "Guessed",
    "Interval",
    "PartCounts",
    "PictureErrors",
    "agreement",
    "assigned",
    "average_precision",
    "best_part_iou",
    "bootstrap_interval",
    "box_iou",
    "classification_error",
    "corloc",
    "coverage",
    "inside_boxes",
    "labelled",
    "localization_error",
    "localized",
    "mask_counts",
    "mean_error",
    "mean_of_ratios",
    "mean_over_queries",
    "paired_permutation",
    "part_counts",
    "picture_errors",
    "positive_ranks",
    "precision_at",
    "ranking_of",
    "saliency_precision",
    "single_part_iou",
    "union_counts",
]
