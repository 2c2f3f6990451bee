"""iCoseg-shaped trees of red squares on black, and masks of any kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
EMPTY = np.zeros((SIDE, SIDE), bool)


def square(corner: int = 16) -> NDArray[np.bool_]:
    """A quarter of the picture, on the cells of the fake backbone at 64 pixels."""
    on = np.zeros((SIDE, SIDE), bool)
    on[corner : corner + 32, corner : corner + 32] = True
    return on


def write_group(root: Path, name: str, truths: list[NDArray[np.bool_]], corner: int = 16) -> list[Path]:
    """Writes a group, a picture for each mask, all with the square at one corner; gives the pictures."""
    written = []
    for number, truth in enumerate(truths):
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        pixels[square(corner)] = (230, 10, 10)
        picture = root / "images" / name / f"{number}.png"
        mask = root / "ground_truth" / name / f"{number}.png"
        for path, image in ((picture, pixels), (mask, truth.astype(np.uint8) * 255)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        written.append(picture)
    return written
