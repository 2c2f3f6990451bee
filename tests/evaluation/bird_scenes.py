"""A set in CUB's layout in which the object is small and its surroundings mislead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from birds import Bird, write_lists
from PIL import Image

CLASSES = ("red bird", "green bird", "no bird")
WIDTH, HEIGHT, SIDE = 96, 72, 24
TINT = 70  # of the surroundings, at most; the bird's own is 90


def write_scenes(root: Path, each: int, seed: int = 0) -> Path:
    """Pictures of three classes, every other one to train; gives the set's folder.

    A bird is blue with a little red or green; any place around it may be as red or as green. Blue tells a bird from
    none, so that the maps of both birds find it; which one it is can be told on the bird alone.
    """
    rng = np.random.default_rng(seed)
    birds = []
    for label, name in enumerate(CLASSES):
        for number in range(each):
            pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            pixels[..., :2] = rng.integers(0, TINT, 2)
            x, y = rng.integers(0, (WIDTH - SIDE) // 8) * 8, rng.integers(0, (HEIGHT - SIDE) // 8) * 8
            if label < 2:
                pixels[y : y + SIDE, x : x + SIDE] = ((90, 0, 255), (0, 90, 255))[label]
            path = root / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            box = f"{x + 0.5} {y + 0.5} {SIDE - 1} {SIDE - 1}"
            birds.append(Bird(f"{name}/{number}.png", label + 1, int(number % 2 == 0), box))
    return write_lists(root, birds, CLASSES)
