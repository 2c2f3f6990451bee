"""Sharpened maps in 256 levels: what a run keeps of them, on from 128."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Stored = NDArray[np.float32] | NDArray[np.uint8]


def to_levels(maps: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Maps of 0..1 as 0..255.

    >>> to_levels(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    levels: NDArray[np.uint8] = np.rint(maps * 255).astype(np.uint8)
    return levels


def as_float(maps: Stored) -> NDArray[np.float32]:
    """Maps as they are compared with thresholds: float32, those in levels 0..1.

    >>> as_float(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    scaled: NDArray[np.float32] = maps.astype(np.float32, copy=False)
    return scaled / np.float32(255) if maps.dtype == np.uint8 else scaled
