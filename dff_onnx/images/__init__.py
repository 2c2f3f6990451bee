"""Files in, pixels out: decoding, orientation, bit depth, limits, resizing, reading ahead."""

from dff_onnx.images.ahead import batches, prefetch
from dff_onnx.images.picture import MAX_PIXELS, Picture, read_original, read_picture
from dff_onnx.images.resize import Resize

__all__ = ["MAX_PIXELS", "Picture", "Resize", "batches", "prefetch", "read_original", "read_picture"]
