"""A file becomes pixels: decoded by Pillow from an allow-list of formats, turned, coloured, resized."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dff_onnx.errors import ImageError
from dff_onnx.images.colour import to_rgb
from dff_onnx.images.resize import Resize
from dff_onnx.records import Grid

FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

# Pillow's own limit for an error; a picture of 16384 x 10922 pixels still passes.
MAX_PIXELS = 178_956_970

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Everything that decoders were seen to raise on damaged files, beside OSError.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError,
    RuntimeError, AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip

# Pillow remarks on damaged files and on sizes that MAX_PIXELS judges here; what matters becomes an ImageError. A filter
# set around each call would not do: such filters are not safe between threads before Python 3.14.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as the network takes it.

    Attributes:
        pixels: `(height, width, 3)` uint8, RGB.
        original: size of the file's picture, after its EXIF turn.
    """

    pixels: NDArray[np.uint8]
    original: Grid


def read_picture(
    path: str | Path, resize: Resize | None = None, max_pixels: int = MAX_PIXELS, content: bytes | None = None
) -> Picture:
    """Decodes, turns and resizes a picture (bilinear, antialiased).

    A large JPEG is decoded at a half, a quarter or an eighth where that is still at least as large as wanted.
    Animations give their first frame, multi-page files their first page.

    Args:
        path: the file; its content decides what it is, not its name.
        resize: 224 x 224 by default.
        max_pixels: more are refused before anything is decoded.
        content: of the file, where it was read already; `path` is then for messages.

    Raises:
        ImageError: when the file cannot be used.
    """
    resize = resize or Resize()
    with _opened(path, max_pixels, content) as (image, turn, original):
        width, height = resize.target(original.width, original.height)
        upright = _upright(image, turn, (width, height))
        return Picture(_pixels(upright.resize((width, height), Image.Resampling.BILINEAR)), original)


def read_original(
    path: str | Path, long_side: int, max_pixels: int = MAX_PIXELS, content: bytes | None = None
) -> NDArray[np.uint8]:
    """The picture at its own size, or smaller where its longer side exceeds `long_side`: `(height, width, 3)` uint8.

    Raises:
        ImageError: when the file cannot be used.
    """
    with _opened(path, max_pixels, content) as (image, turn, original):
        shrink = min(1.0, long_side / max(original.height, original.width))
        size = (max(1, round(original.width * shrink)), max(1, round(original.height * shrink)))
        upright = _upright(image, turn, size)
        return _pixels(upright if upright.size == size else upright.resize(size, Image.Resampling.BILINEAR))


def read_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> Grid:
    """Height and width of a picture after its EXIF turn; nothing is decoded.

    Raises:
        ImageError: when the file cannot be used.
    """
    with _opened(path, max_pixels) as (_, _, size):
        return size


Opened = tuple[Image.Image, "Image.Transpose | None", Grid]


@contextmanager
def _opened(path: str | Path, max_pixels: int, content: bytes | None = None) -> Iterator[Opened]:
    """An open file, how to turn it, and its size after that; damage anywhere inside becomes an ImageError."""
    try:
        with Image.open(path if content is None else io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageError(path, f"has {image.width}x{image.height} pixels, more than the limit of {max_pixels}")
            turn = TURNS.get(_orientation(image))
            across, down = (image.height, image.width) if _lies(turn) else image.size
            yield image, turn, Grid(down, across)
    except UnidentifiedImageError as error:
        raise ImageError(path, _unidentified(Path(path), content)) from error
    except Image.DecompressionBombError as error:
        raise ImageError(path, f"has more pixels than the limit of {max_pixels}") from error
    except DAMAGE as error:
        raise ImageError(path, _reason(error)) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    words = " ".join(str(error).split())[:120]
    return f"is damaged or cut short ({words})" if words else "is damaged or cut short"


def _unidentified(path: Path, content: bytes | None) -> str:
    if (path.stat().st_size if content is None else len(content)) == 0:
        return "is empty"
    return f"is not a picture of a known format ({', '.join(f for f in FORMATS if f != 'DIB')})"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DAMAGE:  # a damaged note about the camera is no reason to lose the picture
        return 1


def _lies(turn: Image.Transpose | None) -> bool:
    """Whether the turn exchanges width and height."""
    return turn in (
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
    )


def _upright(image: Image.Image, turn: Image.Transpose | None, size: tuple[int, int]) -> Image.Image:
    """RGB and turned, decoded no larger than `size` (after the turn) asks for."""
    wanted = size[::-1] if _lies(turn) else size
    if min(image.width / wanted[0], image.height / wanted[1]) >= 2:
        image.draft("RGB", wanted)  # only JPEG can; others ignore it
    rgb = to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image, np.uint8))
