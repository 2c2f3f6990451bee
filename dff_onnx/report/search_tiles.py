"""The pictures of a search as they are shown: each with its box, the query first; and a sheet of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dff_onnx.records import Box
from dff_onnx.report.overlays import STRIP, Pixels, draw_boxes, fitted_label
from dff_onnx.report.palette import colour
from dff_onnx.report.panels import shown_box, within

SIDE = 240  # pixels of a picture's longer side on the sheet
COLUMNS = 5
GAP = 8
TEXT = 13
LIGHT, GREY = (235, 235, 235), (160, 160, 160)
LINES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A picture.

    Attributes:
        name: of its file, printable.
        heading: what it is: the query, or a rank and a score.
        picture: `(height, width, 3)` uint8, None where it could not be read.
        original: height and width of the file's picture.
        boxes: in its pixels, each drawn in the colour of its number.
        heat: the picture with the query's heat map over it, None where there is none.
    """

    name: str
    heading: str
    picture: Pixels | None
    original: tuple[int, int]
    boxes: tuple[Box | None, ...] = ()
    heat: Pixels | None = None


def search_sheet(tiles: Sequence[Tile]) -> Pixels:
    """All pictures in rows of five, the query first; `(height, width, 3)` uint8."""
    columns = min(COLUMNS, len(tiles))
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    caption = LINES * (TEXT + GAP // 2) + GAP
    sheet = Image.new("RGB", (columns * (SIDE + GAP) + GAP, len(rows) * (SIDE + caption + GAP) + GAP), STRIP)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        _paste(sheet, tile, GAP + column * (SIDE + GAP), GAP + row * (SIDE + caption + GAP))
    return np.asarray(sheet)


def _paste(sheet: Image.Image, tile: Tile, left: int, top: int) -> None:
    """A picture in the middle of its square, and two lines below."""
    if tile.picture is not None:
        image = boxed(tile, within(tile.picture, SIDE))
        sheet.paste(image, (left + (SIDE - image.width) // 2, top + (SIDE - image.height) // 2))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    name = tile.name.rpartition("/")[2]
    name = name if tile.picture is not None else f"cannot be read: {name}"
    for line, (text, shade) in enumerate(((tile.heading, LIGHT), (name, GREY))):
        place = (left, top + SIDE + GAP // 2 + line * (TEXT + GAP // 2))
        draw.text(place, fitted_label(text, font, SIDE, len(text)), font=font, fill=shade)


def boxed(tile: Tile, small: Pixels) -> Image.Image:
    """A picture, or a smaller copy of it, with its boxes."""
    image = Image.fromarray(small)
    boxes = [shown_box(box, tile.original, small) for box in tile.boxes]
    draw_boxes(image, boxes, [colour(number) for number in range(len(boxes))])
    return image
