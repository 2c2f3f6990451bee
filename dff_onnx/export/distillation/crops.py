"""Which parts of a photograph are shown, and their pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.images import read_original

Pixels = NDArray[np.uint8]
Rectangle = tuple[float, float, float, float]

# Shares of the picture's area and aspects of the rectangle, as in torchvision's RandomResizedCrop; the smallest share
# is larger than its 0.08, because a teacher at twice the student's size looks at details by itself.
SHARES = (0.25, 1.0)
ASPECTS = (3 / 4, 4 / 3)
LONGEST = 2048


def rectangles(width: int, height: int, count: int, rng: np.random.Generator) -> list[Rectangle]:
    """Parts of a picture, the first of them the whole.

    Args:
        width, height: of the picture.
        count: how many.
        rng: for the places.

    Returns:
        `(x0, y0, x1, y1)` in pixels, not rounded.
    """
    found: list[Rectangle] = [(0.0, 0.0, float(width), float(height))]
    aspects = math.log(ASPECTS[0]), math.log(ASPECTS[1])
    for _ in range(count - 1):
        share, place = rng.uniform(*SHARES), rng.random(2)
        aspect = math.exp(rng.uniform(*aspects))
        across = min(math.sqrt(share * width * height * aspect), width)
        down = min(math.sqrt(share * width * height / aspect), height)
        x, y = place[0] * (width - across), place[1] * (height - down)
        found.append((float(x), float(y), float(x + across), float(y + down)))
    return found


def crops_of(path: Path, sizes: tuple[int, ...], count: int, seed: tuple[int, int]) -> dict[int, Pixels]:
    """The crops of a photograph at several sizes.

    Args:
        path: the file.
        sizes: of the squares.
        count: crops.
        seed: of the distillation, and the photograph's number.

    Returns:
        For every size `(count, size, size, 3)` uint8.

    Raises:
        ImageError: when the file cannot be used.
    """
    pixels = read_original(path, LONGEST)
    picture, rng = Image.fromarray(pixels), np.random.default_rng(seed)
    places = rectangles(picture.width, picture.height, count, rng)
    return {
        size: np.stack(
            [np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR, box=place)) for place in places]
        )
        for size in set(sizes)
    }
