"""Folders of pictures made from a seed, and the fake backbone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

COLOURS = ((230, 20, 20), (20, 200, 20), (30, 30, 220))


def picture(seed: int, width: int = 120, height: int = 90) -> Image.Image:
    """Three coloured squares on black, each somewhere else in every picture."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.uint8)
    for colour in COLOURS:
        x, y = rng.integers(0, width - 40), rng.integers(0, height - 40)
        pixels[y : y + 40, x : x + 40] = colour
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, one below another folder."""
    made = tmp_path / "pictures"
    (made / "deep").mkdir(parents=True)
    for seed in range(6):
        picture(seed).save(made / f"{seed}.png")
    picture(6).save(made / "deep" / "6.png")
    return made
