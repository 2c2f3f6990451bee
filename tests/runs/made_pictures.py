"""Pictures made from a seed."""

from __future__ import annotations

import numpy as np
from PIL import Image

COLOURS = ((230, 20, 20), (20, 200, 20), (30, 30, 220))


def picture(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """Three coloured squares on black, each somewhere else in every picture."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    for colour in COLOURS:
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        pixels[y : y + 40, x : x + 40] = colour
    return Image.fromarray(pixels)
