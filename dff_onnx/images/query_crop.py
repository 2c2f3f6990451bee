"""A part of a picture as a query: cut out first, then made as much smaller as the whole picture would be.

Resizing the part to the size of whole pictures would show its details larger than the pictures that are searched have
them. (The rule of Radenovic et al.'s evaluation code, TPAMI 2018.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.errors import UsageError
from dff_onnx.images.picture import Picture, read_original
from dff_onnx.images.resize import LARGEST, SMALLEST
from dff_onnx.records import Box, Grid

WHOLE = 2**31  # a longer side than any picture has: nothing is shrunk before it is cut


def query_size(full: Grid, box: Box | None, long_side: int) -> tuple[int, int]:
    """Width and height at which a query enters the network.

    Both sides take the factor that the whole picture would take, `long_side` over its longer side. Nothing is enlarged,
    but for a side that would be below 32 pixels, which no network of stride 32 could look at.

    Args:
        full: of the whole picture.
        box: that is asked for, inside it; None for all of it.
        long_side: of whole pictures, 32 to 8192 pixels.

    Raises:
        UsageError: when the box is empty or leaves the picture, or `long_side` cannot be.

    >>> query_size(Grid(768, 1024), Box(100, 100, 600, 400), 512)
    (250, 150)
    """
    if not SMALLEST <= long_side <= LARGEST:
        raise UsageError(f"size: {SMALLEST} to {LARGEST} pixels are possible, found {long_side}")
    box = box or Box(0, 0, full.width, full.height)
    if not (0 <= box.x0 < box.x1 <= full.width and 0 <= box.y0 < box.y1 <= full.height):
        raise UsageError(
            f"the box {box.x0},{box.y0},{box.x1},{box.y1} is not inside its picture, which has "
            f"{full.width}x{full.height} pixels; give x0,y0,x1,y1 from 0,0 to its width and height, x0 < x1, y0 < y1"
        )
    factor = min(1.0, long_side / max(full.width, full.height))
    width, height = (max(SMALLEST, round(factor * side)) for side in (box.x1 - box.x0, box.y1 - box.y0))
    return width, height


def read_query(path: str | Path, box: Box | None, long_side: int) -> Picture:
    """A query's pixels by the rule of `query_size` (bilinear, antialiased); `original` is the size of the part.

    Args:
        path: of the picture.
        box: in its pixels, after its EXIF turn, inside it; None for all of it.
        long_side: of whole pictures.

    Raises:
        ImageError: when the file cannot be used.
        UsageError: as `query_size`.
    """
    pixels = read_original(path, WHOLE)
    return _resized(pixels, box, _size_of(path, pixels, box, long_side))


def read_square(path: str | Path, box: Box | None, side: int) -> Picture:
    """A picture or a part of it as a square of one size, whatever its aspect: for networks that take nothing else.

    Args:
        path: of the picture.
        box: in its pixels, after its EXIF turn, inside it; None for all of it.
        side: 32 to 8192 pixels.

    Raises:
        ImageError: when the file cannot be used.
        UsageError: as `query_size`.
    """
    pixels = read_original(path, WHOLE)
    _size_of(path, pixels, box, side)  # judges the box
    return _resized(pixels, box, (side, side))


def _size_of(path: str | Path, pixels: NDArray[np.uint8], box: Box | None, long_side: int) -> tuple[int, int]:
    """`query_size`, whose mistakes say of which picture."""
    try:
        return query_size(Grid(*pixels.shape[:2]), box, long_side)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _resized(pixels: NDArray[np.uint8], box: Box | None, size: tuple[int, int]) -> Picture:
    """What is inside the box, at a width and height."""
    part = pixels if box is None else pixels[box.y0 : box.y1, box.x0 : box.x1]
    image = Image.fromarray(np.ascontiguousarray(part))
    small = image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
    return Picture(np.asarray(small, np.uint8), Grid(*part.shape[:2]))
