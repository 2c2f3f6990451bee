"""Files in, pixels out: decoding, orientation, bit depth, limits, resizing, reading ahead."""

from dff_onnx.images.picture import MAX_PIXELS, Picture, read_original, read_picture
from dff_onnx.images.prefetch import batches, in_order, prefetch
from dff_onnx.images.resize import Resize

__all__ = ["MAX_PIXELS", "Picture", "Resize", "batches", "in_order", "prefetch", "read_original", "read_picture"]
