"""`H` -> heat maps -> thresholds -> [sharpened maps] -> masks -> regions and boxes. Pure."""

from dff_onnx.maps.crf import Crf, evidence, sharpen
from dff_onnx.maps.heat import heat_map, offsets, peaks, scores
from dff_onnx.maps.percentile import set_percentile
from dff_onnx.maps.regions import MaskFound, image_regions, mask, regions_at, regions_of, set_regions, working_size
from dff_onnx.maps.shrink import shrink
from dff_onnx.maps.thresholds import Threshold, set_thresholds
from dff_onnx.maps.upsample import upsample

__all__ = [
    "Crf",
    "MaskFound",
    "Threshold",
    "evidence",
    "heat_map",
    "image_regions",
    "mask",
    "offsets",
    "peaks",
    "regions_at",
    "regions_of",
    "scores",
    "set_percentile",
    "set_regions",
    "set_thresholds",
    "sharpen",
    "shrink",
    "upsample",
    "working_size",
]
