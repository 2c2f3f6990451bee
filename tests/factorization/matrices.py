"""Activation-like matrices, made from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def activations(rows: int = 600, channels: int = 64, concepts: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """Sparse non-negative mixtures of a few concepts with noise cut off at zero, as ReLU leaves them."""
    rng = np.random.default_rng(seed)
    mixed = rng.gamma(0.3, 1, (rows, concepts)) @ rng.gamma(0.3, 1, (concepts, channels))
    return np.maximum(mixed + rng.normal(0, 0.3, (rows, channels)) - 0.3, 0).astype(np.float32)


def loss(A: NDArray[Any], H: NDArray[Any], W: NDArray[Any]) -> float:
    """Written out in float64."""
    A = A.astype(np.float64)
    return float(np.sum((A - H.astype(np.float64) @ W.astype(np.float64)) ** 2) / np.sum(A**2))
