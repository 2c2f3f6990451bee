"""A contact sheet: one row for each concept, with its swatch, its number and a few pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dff_onnx.report.overlays import STRIP, Colour, Pixels

WIDEST = 320  # pixels of a picture's longer side
NARROWEST = 128  # less cannot be recognised
TALLEST = 6400  # of all rows together, as far as the narrowest pictures allow
HEAD = 132  # pixels for swatch and number
GAP = 8
TEXT = 18
LIGHT, GREY = (235, 235, 235), (160, 160, 160)


@dataclass(frozen=True, slots=True)
class Row:
    """One concept.

    Attributes:
        number, colour: of the concept.
        energy: its share.
        tiles: pictures `(height, width, 3)` with the concept over them.
    """

    number: int
    colour: Colour
    energy: float
    tiles: Sequence[Pixels]


def tile_side(concepts: int) -> int:
    """Pixels of a picture's longer side on a sheet of so many rows: smaller on long ones.

    >>> tile_side(4), tile_side(1000)
    (320, 128)
    """
    return min(WIDEST, max(NARROWEST, TALLEST // max(1, concepts)))


def contact_sheet(rows: Iterable[Row]) -> NDArray[np.uint8]:
    """The sheet `(height, width, 3)`; equal rows give equal pixels."""
    drawn = [_row(row) for row in rows]
    width, height = max(row.width for row in drawn), sum(row.height for row in drawn)
    sheet = Image.new("RGB", (width, height), STRIP)
    top = 0
    for row in drawn:
        sheet.paste(row, (0, top))
        top += row.height
    return np.asarray(sheet)


def _row(row: Row) -> Image.Image:
    height = max([3 * TEXT + 3 * GAP, *(tile.shape[0] for tile in row.tiles)]) + 2 * GAP
    widths = [tile.shape[1] for tile in row.tiles]
    image = Image.new("RGB", (HEAD + sum(widths) + GAP * (len(widths) + 1), height), STRIP)
    _draw_head(image, row)
    left = HEAD + GAP
    for tile in row.tiles:
        image.paste(Image.fromarray(tile), (left, GAP))
        left += tile.shape[1] + GAP
    return image


def _draw_head(image: Image.Image, row: Row) -> None:
    draw = ImageDraw.Draw(image)
    draw.rectangle((GAP, GAP, HEAD - GAP, GAP + TEXT), fill=row.colour)
    lines = [(f"concept {row.number}", TEXT, LIGHT), (f"energy {row.energy:.1%}", TEXT - 4, GREY)]
    if not row.tiles:
        lines.append(("in no picture", TEXT - 4, GREY))
    top = 2 * GAP + TEXT
    for text, size, shade in lines:
        draw.text((GAP, top), text, font=ImageFont.load_default(size), fill=shade)
        top += size + GAP // 2
