"""Sets of pictures with a planted object, and activations as a network might give them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.foreground import View
from dff_onnx.images import Resize
from dff_onnx.records import Grid

OBJECT, GRASS, SKY = (200, 60, 60), (70, 130, 70), (120, 150, 200)
HEIGHT, WIDTH, CELL = 96, 128, 8


@dataclass(frozen=True)
class Scene:
    """A picture, its object's mask, and the activations of its cells `(h, w, c)`."""

    picture: NDArray[np.uint8]
    truth: NDArray[np.bool_]
    activations: NDArray[np.float32]


def scene(seed: int, centre: tuple[float, float] | None = None, radius: float = 22) -> Scene:
    """A red disc before sky and grass; six channels mix what there is, none is the object alone."""
    rng = np.random.default_rng(seed)
    down, across = centre or (rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (y - down * HEIGHT) ** 2 + (x - across * WIDTH) ** 2 < radius**2
    sky = (y < rng.uniform(0.3, 0.5) * HEIGHT) & ~disc
    kinds = np.stack([disc, sky, ~disc & ~sky], axis=-1).astype(np.float32)
    colours = kinds @ np.asarray([OBJECT, SKY, GRASS], np.float32)
    picture = np.clip(colours + rng.normal(0, 10, colours.shape), 0, 255).astype(np.uint8)
    cells = cv2.resize(kinds, (WIDTH // CELL, HEIGHT // CELL), interpolation=cv2.INTER_AREA)
    mixing = np.array([[2, 0, 0, 1, 0.5, 0], [0, 1.5, 0, 1, 0, 0.5], [0, 0, 1.5, 0, 0.5, 0.5]], np.float32)
    noisy = cells @ mixing + rng.gamma(0.5, 0.1, (*cells.shape[:2], 6))
    return Scene(picture, disc, noisy.astype(np.float32))


def view(scenes: list[Scene], pixels: int = 448) -> View:
    """Rows and grids of scenes."""
    grids = [Grid(*one.activations.shape[:2]) for one in scenes]
    return View(np.concatenate([one.activations.reshape(-1, 6) for one in scenes]), grids, Resize("square", pixels))


def iou(maps: NDArray[np.uint8], truth: NDArray[np.bool_]) -> float:
    on = maps >= 128
    return float((on & truth).sum() / (on | truth).sum())
