"""Pictures of coloured patches for retrieval: a class is a pair of colours, where they are says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.evaluation.retrieval_systems import RetrievalPlan, retrieval_systems

HEIGHT, WIDTH = 48, 64
CLASSES = {
    "fire": ((230, 40, 20), (240, 150, 30)),
    "sea": ((20, 60, 220), (30, 200, 210)),
    "wood": ((30, 190, 40), (120, 90, 50)),
}
SIZE = 64


def scene(colours: Sequence[tuple[int, int, int]], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Dark ground with two patches on the cells of the fake backbone."""
    pixels = rng.integers(0, 25, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for colour in colours:
        y, x = 8 * rng.integers(0, HEIGHT // 8 - 1), 8 * rng.integers(0, WIDTH // 8 - 1)
        pixels[y : y + 16, x : x + 16] = colour
    return pixels


def write_scenes(root: Path, each: int, seed: int = 0) -> Path:
    """A folder for each class."""
    rng = np.random.default_rng(seed)
    for name, colours in CLASSES.items():
        (root / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(scene(colours, rng)).save(root / name / f"{number}.png")
    return root


def plan_of(
    *names: str,
    whiten: Path | None = None,
    dimensions: tuple[int | None, ...] = (None,),
    shrinkages: tuple[float, ...] = (0.0,),
) -> RetrievalPlan:
    return RetrievalPlan(retrieval_systems(names, [3], SIZE), whiten, dimensions, shrinkages)
