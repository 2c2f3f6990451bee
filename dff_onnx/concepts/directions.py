"""One direction in feature space that tells foreground from background, learned from a guess where it is.

A concept of a factorization is a direction along which activations are strong; this is one along which they follow a
target. Both are one vector per set, so pictures that come later can be projected. Everything here needs only sums over
rows: one pass over `A`, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like, row_blocks
from dff_onnx.maps import offsets
from dff_onnx.records import Grid

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
ROWS = 2048


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over rows `x` (square-rooted activations) and their targets `y`, in float64 on the host.

    Attributes:
        rows: how many.
        x: `(c,)` sum of the rows.
        xx: `(c, c)` sum of their outer products.
        xy: `(c,)` sum of the rows times their targets.
        y, yy: sums of the targets and of their squares.
    """

    rows: int
    x: Doubles
    xx: Doubles
    xy: Doubles
    y: float
    yy: float

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.rows + other.rows,
            self.x + other.x,
            self.xx + other.xx,
            self.xy + other.xy,
            self.y + other.y,
            self.yy + other.yy,
        )

    @property
    def mean(self) -> Doubles:
        """Of the rows, `(c,)`."""
        return self.x / self.rows

    @property
    def covariance(self) -> Doubles:
        """Of the channels, `(c, c)`."""
        return self.xx / self.rows - np.outer(self.mean, self.mean)

    @property
    def with_target(self) -> Doubles:
        """Covariance of every channel with the target, `(c,)`."""
        return self.xy / self.rows - self.mean * (self.y / self.rows)

    def correlation(self, vector: Doubles) -> float:
        """Between these rows along a direction and their targets; 0 where one of them does not vary."""
        along = float(vector @ self.covariance @ vector)
        target = self.yy / self.rows - (self.y / self.rows) ** 2
        scale = np.sqrt(max(along, 0.0) * max(target, 0.0))
        return float(vector @ self.with_target / scale) if scale > 0 else 0.0


def moments(A: Array, grids: Sequence[Grid], targets: Sequence[Floats]) -> tuple[Moments, Moments]:
    """Of the images at even and at odd places; their sum is the whole set's.

    Args:
        A: `(N, c)` activations, `>= 0`, on the host or on a device.
        grids: of the images, in the order of its rows.
        targets: `(h, w)` of each image.
    """
    bounds = offsets(grids)
    halves = []
    for first in (0, 1):
        parts = (
            _block_moments(A[start + block.start : start + block.stop, :], targets[i].reshape(-1)[block])
            for i, start in list(enumerate(bounds[:-1]))[first::2]
            for block in row_blocks(grids[i].cells, ROWS)
        )
        halves.append(_sum(parts, A.shape[1]))
    return halves[0], halves[1]


def _block_moments(rows: Array, target: Floats) -> Moments:
    xp = namespace_of(rows)
    x = xp.sqrt(rows)
    y = like(target.astype(np.float32), rows)
    sums = to_numpy(xp.sum(x, axis=0)), to_numpy(xp.matmul(x.T, x)), to_numpy(xp.matmul(x.T, y))
    total, squares, products = (np.asarray(part, np.float64) for part in sums)
    precise = target.astype(np.float64)
    return Moments(rows.shape[0], total, squares, products, float(precise.sum()), float((precise**2).sum()))


def _sum(parts: Iterable[Moments], channels: int) -> Moments:
    nothing = Moments(0, np.zeros(channels), np.zeros((channels, channels)), np.zeros(channels), 0.0, 0.0)
    return sum(parts, nothing)


def covariance_direction(made: Moments) -> Doubles:
    """The covariance of every channel with the target: ridge regression of infinite strength.

    It cannot over-fit, which matters where the target is a mere guess.
    """
    return made.with_target


def ridge_direction(made: Moments, strength: float) -> Doubles:
    """Ridge regression of the target, its penalty `strength` times the channels' mean variance."""
    covariance = made.covariance
    penalty = strength * float(np.trace(covariance)) / len(covariance)
    regular = covariance + max(penalty, 1e-12) * np.eye(len(covariance))
    return np.asarray(np.linalg.solve(regular, made.with_target), np.float64)


def along(A: Array, mean: NDArray[np.floating], direction: NDArray[np.floating]) -> Floats:
    """Square-rooted, centred activations `(N, c)` along a direction: `(N,)` on the host."""
    xp = namespace_of(A)
    moved = like(direction.astype(np.float32), A)
    shift = np.float32(mean @ direction)
    parts = [to_numpy(xp.matmul(xp.sqrt(A[block, :]), moved)) for block in row_blocks(A.shape[0], ROWS)]
    return np.concatenate(parts).astype(np.float32) - shift


def centre_prior(grid: Grid, width: float) -> Floats:
    """A Gaussian around the middle, `(h, w)`: where photographers put things.

    Args:
        grid: of the map.
        width: standard deviation, in halves of the picture's sides.
    """
    x, y = (np.arange(side) * 2.0 + 1 for side in (grid.width, grid.height))
    across, down = (x / grid.width - 1) ** 2, (y / grid.height - 1) ** 2
    prior: Floats = np.exp(-(down[:, None] + across[None, :]) / (2 * width**2)).astype(np.float32)
    return prior


def border_prior(grid: Grid, width: float) -> Floats:
    """1 inside, falling to 0 towards the borders, `(h, w)`: backgrounds leave the picture, things mostly do not.

    Args:
        grid: of the map.
        width: of the fall, in halves of the picture's sides.
    """
    x, y = ((np.arange(side) * 2.0 + 1) / side for side in (grid.width, grid.height))
    nearest = np.minimum(np.minimum(y, 2 - y)[:, None], np.minimum(x, 2 - x)[None, :])
    prior: Floats = np.clip(nearest / width, 0, 1).astype(np.float32)
    return prior
