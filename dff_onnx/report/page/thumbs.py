"""Pictures and maps as a page holds them: small, and no larger than they may be."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.maps import shrink
from dff_onnx.maps.levels import as_float, to_levels
from dff_onnx.report.maps_file import Maps

SIDE = 320  # of a thumbnail, the longer one
# Tried one after the other until one fits. Photographs take the first: 10 to 30 kB. Noise does not.
STEPS = ((SIDE, 80), (SIDE, 65), (SIDE, 50), (SIDE, 35), (224, 40), (160, 40), (112, 40), (80, 30), (48, 30), (24, 30))

Pixels = NDArray[np.uint8]


def thumbnail(picture: Pixels, most: int) -> str | None:
    """A picture as a JPEG of at most 320 pixels, in base64.

    Args:
        picture: `(height, width, 3)` uint8.
        most: characters that it may have.

    Returns:
        None where nothing that small shows the picture.
    """
    image = Image.fromarray(picture)
    for side, quality in STEPS:
        text = text_of(_jpeg(image, side, quality))
        if len(text) <= most:
            return text
    return None


def small_maps(maps: Maps, peaks: Sequence[float], cells: int) -> Pixels:
    """Maps in 256 levels, averaged down to at most so many cells.

    Args:
        maps: `(k, h, w)`: float32 heat maps, what is below zero is off; or uint8 of sharpened ones, 255 for 1.
        peaks: of each concept over the set: they become 255. Sharpened maps have their own scale.
        cells: of a map, at least 1.

    Returns:
        `(k, h, w)` uint8.
    """
    height, width = _within(maps.shape[1], maps.shape[2], cells)
    if maps.dtype == np.uint8 and (height, width) == maps.shape[1:]:
        return np.asarray(maps, np.uint8)
    values = as_float(maps)
    if maps.dtype != np.uint8:
        highest = np.asarray(peaks, np.float32)
        values = np.clip(values / np.where(highest > 0, highest, 1).astype(np.float32)[:, None, None], 0, 1)
    if (height, width) != maps.shape[1:]:
        values = shrink(values, height, width)
    return to_levels(np.clip(values, 0, 1))


def text_of(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def _within(height: int, width: int, cells: int) -> tuple[int, int]:
    """The largest grid of this shape with so many cells, or nearly."""
    if height * width <= cells:
        return height, width
    factor = (cells / (height * width)) ** 0.5
    h = min(max(1, int(height * factor)), cells)
    return h, max(1, min(int(width * factor), cells // h))


def _within_side(image: Image.Image, side: int) -> Image.Image:
    shrink_by = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * shrink_by)), max(1, round(image.height * shrink_by)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _jpeg(image: Image.Image, side: int, quality: int) -> bytes:
    data = io.BytesIO()
    _within_side(image, side).save(data, "JPEG", quality=quality)
    return data.getvalue()
