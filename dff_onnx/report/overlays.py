"""Heat maps over their picture: one colour for each concept, a legend below."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFont

from dff_onnx.maps import upsample
from dff_onnx.records import Box

# Pictures are shown no larger: a heat map of a few dozen cells has no finer detail.
LONG_SIDE = 1024
# A picture turns grey and darker: colours then speak of concepts alone.
GROUND = 0.6
# Of a concept's colour, how much follows the picture's light and shade: what is below stays visible at the peak.
SHADED = 0.3
HIGHLIGHT = 1.3  # times that, on white
# Where concepts meet, the stronger one's colour prevails: their shares go with this power of their values.
POWER = 4
# Samples a cell of the heat maps along an axis, before all is enlarged: odd, so that one lies on each cell's centre.
SAMPLES = 5
# zlib's Z_RLE: on overlays of photographs measured four times as fast as zlib's default, for 5 % more bytes.
RUN_LENGTHS = 3
STRIP = (24, 24, 24)
NARROWEST = 120  # of a legend that can be read
SHORT, LONG = 24, 60  # characters of a label among others, and of one alone

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def overlay(
    picture: Pixels,
    heat: NDArray[np.float32],
    colours: Sequence[Colour],
    labels: Sequence[str],
    scale: str,
    boxes: Sequence[Box | None] = (),
    strength: NDArray[np.float32] | None = None,
) -> Pixels:
    """A picture, grey and darkened, with its concepts over it, and the legend.

    A concept covers a pixel in proportion to its heat; at 1 nothing but the picture's shading is left below.

    Args:
        picture: `(height, width, 3)` uint8.
        heat: `(k, h, w)` heat maps, 1 at the concept's peak.
        colours, labels: of the concepts.
        scale: what 1 refers to, for the legend.
        boxes: one for each concept to draw, in the picture's pixels.
        strength: `(k, h, w)`, decides whose colour prevails where several concepts are; by default `heat`.

    Returns:
        `(height + legend, width, 3)` uint8; a picture narrower than its legend gets margins.

    >>> import numpy as np
    >>> picture, heat = np.zeros((120, 200, 3), np.uint8), np.ones((1, 7, 7), np.float32)
    >>> overlay(picture, heat, [(240, 150, 0)], ["ear"], "scale: whole set").shape
    (141, 200, 3)
    """
    shown = _blended(picture, heat, colours, strength)
    draw_boxes(shown, boxes, colours)
    legend = _legend(max(shown.width, NARROWEST), tuple(colours), tuple(labels), scale)
    sheet = Image.new("RGB", (legend.width, shown.height + legend.height), STRIP)
    sheet.paste(shown, ((legend.width - shown.width) // 2, 0))
    sheet.paste(legend, (0, shown.height))
    return np.asarray(sheet)


def painted(picture: Pixels, heat: NDArray[np.float32], colours: Sequence[Colour]) -> Pixels:
    """As `overlay`, without legend and boxes: `(height, width, 3)` uint8."""
    return np.asarray(_blended(picture, heat, colours))


def encode_png(pixels: Pixels) -> bytes:
    """The picture as a PNG file; equal pixels give equal bytes."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return data.getvalue()


def _blended(
    picture: Pixels,
    heat: NDArray[np.float32],
    colours: Sequence[Colour],
    strength: NDArray[np.float32] | None = None,
) -> Image.Image:
    """`grey * factor + paint`: both are smooth, so that few samples of them, enlarged, are enough."""
    height, width = picture.shape[:2]
    h, w = heat.shape[-2:]
    values = np.clip(upsample(heat, min(height, SAMPLES * h), min(width, SAMPLES * w)), 0, 1)
    cover = values.max(axis=0)[:, :, None]
    shares = values**POWER
    if strength is not None:
        shares = shares * np.maximum(upsample(strength, *values.shape[1:]), 0) ** POWER
    shares /= np.maximum(shares.sum(axis=0), np.finfo(np.float32).tiny)
    paint = cover * np.einsum("khw,kc->hwc", shares, np.asarray(colours, np.float32))
    factor = 255 * GROUND * (1 - cover) + (SHADED * HIGHLIGHT) * paint
    grey = Image.fromarray(picture).convert("L")
    lit = ImageChops.multiply(Image.merge("RGB", (grey, grey, grey)), _enlarged(factor, width, height))
    return ImageChops.add(lit, _enlarged((1 - SHADED) * paint, width, height))


def _enlarged(samples: NDArray[np.float32], width: int, height: int) -> Image.Image:
    image = Image.fromarray(np.rint(samples).astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BILINEAR)


def draw_boxes(image: Image.Image, boxes: Sequence[Box | None], colours: Sequence[Colour]) -> None:
    """Draws boxes, in pixels of the image, with an edge that is seen on light and dark."""
    draw, line = ImageDraw.Draw(image), max(2, _text_size(image.width) // 6)
    for box, colour in zip(boxes, colours, strict=False):
        if box is not None:
            inner = (box.x0, box.y0, box.x1 - 1, box.y1 - 1)
            draw.rectangle(inner, outline=STRIP, width=line + 1)  # seen on a light picture, too
            draw.rectangle(inner, outline=colour, width=line)


@lru_cache(maxsize=64)
def _legend(width: int, colours: tuple[Colour, ...], labels: tuple[str, ...], scale: str) -> Image.Image:
    """Swatches and labels, as many lines as the width needs."""
    size = _text_size(width)
    font = ImageFont.load_default(size)
    swatch = round(1.6 * size)
    lefts = [swatch + size // 3] * len(labels) + [0]  # the scale has no swatch
    most = SHORT if len(labels) > 1 else LONG
    texts = [
        fitted_label(text, font, width - size - left, most) for text, left in zip((*labels, scale), lefts, strict=True)
    ]
    widths = [left + round(font.getlength(text)) for left, text in zip(lefts, texts, strict=True)]
    places = _arranged(widths, size, width)
    line = round(1.5 * size)
    image = Image.new("RGB", (width, line * (places[-1][0] + 1) + size // 2), STRIP)
    draw = ImageDraw.Draw(image)
    for number, ((row, x), left, text) in enumerate(zip(places, lefts, texts, strict=True)):
        top = size // 4 + row * line
        if number < len(labels):
            image.paste(_swatch(colours[number], swatch, size), (x, top + size // 4))
        middle = top + size // 4 + size // 2
        shade = (235, 235, 235) if number < len(labels) else (160, 160, 160)
        draw.text((x + left, middle), text, font=font, fill=shade, anchor="lm")
    return image


def _text_size(width: int) -> int:
    """Of the legend's letters: they grow with the picture, but more slowly."""
    return max(11, round(0.75 * math.sqrt(width)))


def _swatch(colour: Colour, width: int, height: int) -> Image.Image:
    """From nothing to the concept's peak, as over a mid-grey picture."""
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (1, height, width))
    return _blended(np.full((height, width, 3), 128, np.uint8), ramp, [colour])


def _arranged(widths: Sequence[int], size: int, width: int) -> list[tuple[int, int]]:
    """Row and x of things of these widths, set like words."""
    places: list[tuple[int, int]] = []
    row, x, margin = 0, size // 2, size // 2
    for wanted in widths:
        if places and x + wanted + margin > width:
            row, x = row + 1, margin
        places.append((row, x))
        x += wanted + size
    return places


def fitted_label(text: str, font: Font, room: float, most: int) -> str:
    """A label of at most so many characters that fits, without what would break a line or turn its direction."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    if len(shown) <= most and font.getlength(shown) <= room:
        return shown
    shown = shown[: most - 1]
    while shown and font.getlength(f"{shown}…") > room:
        shown = shown[:-1]
    return f"{shown}…"
