"""Heat maps over their picture: one colour for each concept, a legend below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dff_onnx.maps import upsample

# Pictures are shown no larger: a heat map of a few dozen cells has no finer detail.
LONG_SIDE = 1024
STRENGTH = 0.85  # how much of a picture's pixel a concept at its peak covers
DIMMED = 0.65  # of a picture's colour where no concept is: colours then speak of concepts alone
# Huffman coding alone: measured four times as fast as zlib's default, and no larger on photographs.
HUFFMAN_ONLY = 2

Colour = tuple[int, int, int]


def overlay(
    picture: NDArray[np.uint8], heat: NDArray[np.float32], colours: Sequence[Colour], labels: Sequence[str], scale: str
) -> NDArray[np.uint8]:
    """A picture, dimmed, with its concepts over it, and the legend.

    Args:
        picture: `(height, width, 3)` uint8.
        heat: `(k, h, w)` heat maps, 1 at the concept's peak.
        colours, labels: of the concepts.
        scale: what 1 refers to, for the legend.

    Returns:
        `(height + legend, width, 3)` uint8.
    """
    height, width = picture.shape[:2]
    values = np.clip(upsample(heat.astype(np.float32, copy=False), height, width), 0, 1)
    strongest = values.max(axis=0)
    weights = values * values  # where concepts meet, the stronger one's colour prevails
    total = weights.sum(axis=0)
    share = (STRENGTH * strongest**0.7) / np.maximum(total, 1e-12)
    paint = (np.asarray(colours, np.float32).T @ weights.reshape(len(colours), -1)).reshape(3, height, width)
    cover = share * total
    ground = _dimmed(picture)
    mixed = ground * (1 - cover)[:, :, None] + (paint * share).transpose(1, 2, 0)
    shown = mixed.astype(np.uint8)
    return np.concatenate([shown, _legend(width, tuple(colours), tuple(labels), scale)])


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file; equal pixels give equal bytes."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1, compress_type=HUFFMAN_ONLY)
    return data.getvalue()


def _dimmed(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Halfway to grey, and darker."""
    values = picture.astype(np.float32)
    grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
    mixed: NDArray[np.float32] = values * np.float32(0.35 * DIMMED) + (grey * np.float32(0.65 * DIMMED))[:, :, None]
    return mixed


@lru_cache(maxsize=64)
def _legend(width: int, colours: tuple[Colour, ...], labels: tuple[str, ...], scale: str) -> NDArray[np.uint8]:
    """Swatches and labels, as many lines as the width needs."""
    size = max(10, min(22, width // 24))
    font = ImageFont.load_default(size)
    rows = _arranged([*map(_printable, labels), _printable(scale)], font, size, width)
    image = Image.new("RGB", (width, len(rows) * (size + 8) + 6), (24, 24, 24))
    draw = ImageDraw.Draw(image)
    number = 0
    for line, row in enumerate(rows):
        top = 4 + line * (size + 8)
        for x, text in row:
            if number < len(colours):
                draw.rectangle((x, top + 2, x + size, top + 2 + size), fill=colours[number])
                draw.text((x + size + 5, top), text, font=font, fill=(235, 235, 235))
            else:
                draw.text((x, top), text, font=font, fill=(150, 150, 150))
            number += 1
    return np.asarray(image)


def _arranged(
    texts: list[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, size: int, width: int
) -> list[list[tuple[int, str]]]:
    rows: list[list[tuple[int, str]]] = [[]]
    x = 6
    for text in texts:
        room = size + 5 + round(font.getlength(text)) + 14
        if rows[-1] and x + room > width:
            rows.append([])
            x = 6
        rows[-1].append((x, text))
        x += room
    return rows


def _printable(text: str) -> str:
    """A label of at most 24 characters, without what would break a line."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 24 else f"{shown[:23]}…"
