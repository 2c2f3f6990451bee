"""Networks as workers open them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from fake_backbone import Colours

from dff_onnx.cluster.rows import Loaded


@dataclass(frozen=True)
class Fake:
    """Opens the fake backbone."""

    def __call__(self) -> Colours:
        return Colours()


class Times(Colours):
    """Activations many times as large, or as small."""

    def __init__(self, factor: float) -> None:
        self._factor = np.float32(factor)

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return super().__call__(pixels) * self._factor


@dataclass(frozen=True)
class OpensTimes:
    """Opens it."""

    factor: float

    def __call__(self) -> Times:
        return Times(self.factor)


class Deadly(Colours):
    """Ends the process that shows it a white picture."""

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        if (pixels == 255).all(axis=(1, 2, 3)).any():
            os._exit(1)
        return super().__call__(pixels)


@dataclass(frozen=True)
class OpensDeadly:
    """Opens it."""

    def __call__(self) -> Deadly:
        return Deadly()


class Slow(Colours):
    """Takes its time."""

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        time.sleep(0.05)
        return super().__call__(pixels)


@dataclass(frozen=True)
class OpensSlow:
    """Opens it."""

    def __call__(self) -> Slow:
        return Slow()


def row_source(number: int) -> Loaded:
    """A part of a made matrix."""
    rng, shared = np.random.default_rng(number), np.random.default_rng(99)
    W = shared.gamma(0.3, 1, (6, 30))
    A = rng.gamma(0.3, 1, (3000, 6)) @ W + rng.normal(0, 0.3, (3000, 30)) - 0.3
    return Loaded(np.maximum(A, 0).astype(np.float32))
