"""Sets of pictures with a planted number of concepts, as a network's activations might show them.

Each concept is a sparse, heavy-tailed profile over channels that all concepts partly share; it lies as one blob in some
of the pictures, the more popular ones in more, and looks a little different in each. Noise grows with the signal, a
bias and a ReLU make zeros. `studies` of real features gave the kind; the levels differ in what makes counting hard.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Level:
    """How hard a set is.

    Attributes:
        shared: part of a profile that all concepts have in common.
        varied: spread of the logarithm of a profile's channels from picture to picture.
        noise: standard deviation, relative to the length of a row.
        least: share of the pictures that show the least popular concept.
    """

    shared: float
    varied: float
    noise: float
    least: float


LEVELS = {
    "easy": Level(shared=0.15, varied=0.1, noise=0.03, least=0.6),
    "middle": Level(shared=0.3, varied=0.2, noise=0.05, least=0.4),
    "hard": Level(shared=0.45, varied=0.3, noise=0.08, least=0.3),
}


@dataclass(frozen=True)
class Planted:
    """A set: activations `(N, c)`, rows of each picture, and the profiles `(k, c)`."""

    A: NDArray[np.float32]
    cells: list[int]
    W: NDArray[np.float64]


def planted(k: int, pictures: int, seed: int, level: str = "middle", channels: int = 96, side: int = 8) -> Planted:
    """Makes a set of `k` concepts."""
    how, rng = LEVELS[level], np.random.default_rng(seed)
    W, shown = _profiles(how, k, channels, rng), _shown(how, k, pictures, rng)
    blocks = [_picture(how, W[there], side, rng) for there in shown]
    return Planted(np.concatenate(blocks).astype(np.float32), [side * side] * pictures, W)


def hundred(level: str = "middle", many: int = 100, channels: int = 96, side: int = 8) -> list[tuple[int, Planted]]:
    """Sets of 2 to 8 concepts in turn, each in 8 to 30 pictures."""
    counts = [(2 + i % 7, int(np.random.default_rng(i).integers(8, 31))) for i in range(many)]
    return [(k, planted(k, pictures, 1000 + i, level, channels, side)) for i, (k, pictures) in enumerate(counts)]


def noise(pictures: int, seed: int, channels: int = 96, side: int = 8) -> Planted:
    """Nothing but rectified noise."""
    rng = np.random.default_rng(seed)
    A = np.maximum(rng.standard_normal((pictures * side**2, channels)), 0)
    return Planted(A.astype(np.float32), [side * side] * pictures, np.ones((1, channels)))


def _profiles(how: Level, k: int, channels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    own = rng.gamma(0.5, 1.0, (k, channels)) * (rng.random((k, channels)) < 0.2) * rng.lognormal(0, 0.6, channels)
    common = rng.gamma(0.5, 1.0, channels)
    W = (1 - how.shared) * _unit(own) + how.shared * _unit(common)
    return _unit(W)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.maximum(lengths, 1e-12)


def _shown(how: Level, k: int, pictures: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which picture shows which concept: popularity falls by a power law, no concept is in fewer than three."""
    popularity = np.maximum(0.9 * np.arange(1, k + 1) ** -0.7, how.least)
    there: NDArray[np.bool_] = rng.random((pictures, k)) < popularity
    for concept in range(k):
        missing = max(3 - int(there[:, concept].sum()), 0)
        there[rng.choice(np.nonzero(~there[:, concept])[0], missing, replace=False), concept] = True
    there[~there.any(axis=1), 0] = True
    return there


def _picture(how: Level, W: NDArray[np.float64], side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    y, x = np.mgrid[:side, :side]
    X = np.zeros((side * side, W.shape[1]))
    for profile in W:
        down, across = rng.uniform(0, side, 2)
        tall, wide = rng.uniform(0.08, 0.28, 2) * side
        blob = np.exp(-(((y - down) / tall) ** 2) / 2 - ((x - across) / wide) ** 2 / 2)
        strength = (np.where(blob > 0.1, blob, 0) * rng.lognormal(0, 0.4)).ravel() * rng.gamma(4.0, 0.25, side * side)
        X += np.outer(strength, profile * rng.lognormal(0, how.varied, len(profile)))
    X += how.noise * rng.standard_normal(X.shape) * (0.4 + np.linalg.norm(X, axis=1, keepdims=True))
    return 20 * np.maximum(X - 0.01 * rng.lognormal(0, 0.5, X.shape[1]), 0)
