"""`H` -> heat maps -> thresholds -> masks -> regions and boxes. Pure."""

from dff_onnx.maps.heat import heat_map, offsets, peaks, scores
from dff_onnx.maps.percentile import set_percentile
from dff_onnx.maps.regions import MaskFound, image_regions, mask, regions_of, set_regions
from dff_onnx.maps.upsample import upsample

__all__ = [
    "MaskFound",
    "heat_map",
    "image_regions",
    "mask",
    "offsets",
    "peaks",
    "regions_of",
    "scores",
    "set_percentile",
    "set_regions",
    "upsample",
]
