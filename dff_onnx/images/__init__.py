"""Files in, pixels out: decoding, orientation, bit depth, limits, resizing, reading ahead."""

from dff_onnx.images.ahead import batches, prefetch
from dff_onnx.images.picture import MAX_PIXELS, Picture, read_original, read_picture, read_size
from dff_onnx.images.query_crop import query_size, read_query, read_square
from dff_onnx.images.resize import Resize

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "Resize",
    "batches",
    "prefetch",
    "query_size",
    "read_original",
    "read_picture",
    "read_query",
    "read_size",
    "read_square",
]
