"""PCA whitening: directions that descriptors share count for less, those that tell them apart for more.

Jegou, Chum: "Negative evidences and co-occurrences in image retrieval" (ECCV 2012). Learnt on other pictures than are
searched (on Paris for Oxford, say), never on the queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import at_least_single, count, double, like, row_blocks, zeros_like_with
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.pooling import normalized

FLOOR = 1e-12  # of the largest variance: what is below is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """A shift and a projection after which the vectors it was learnt on are uncorrelated and of variance 1.

    Attributes:
        mean: `(c,)` of the vectors.
        projection: `(d, c)`, by falling variance: `diag(lambda^-1/2) V^T`.
    """

    mean: Array
    projection: Array

    @property
    def dimensions(self) -> int:
        """Of whitened vectors."""
        return int(self.projection.shape[0])

    def projected(self, V: Array) -> Array:
        """`P (x - m)` of every row, `(n, c)` -> `(n, d)`, not normalised.

        Raises:
            ArrayError: for vectors of another width.

        >>> Whitening(np.array([1.0, 1.0]), np.array([[2.0, 0.0]])).projected(np.array([[3.0, 1.0]])).tolist()
        [[4.0]]
        """
        if V.ndim != 2 or V.shape[1] != self.mean.shape[0]:
            raise ArrayError(f"whitening: vectors (n, {self.mean.shape[0]}) are needed, found {tuple(V.shape)}")
        V = at_least_single(V)
        return (V - _beside(self.mean, V)) @ _beside(self.projection, V).T

    def __call__(self, V: Array) -> Array:
        """Whitened rows of unit length, `(n, d)`; a row of zeros says nothing, and becomes one.

        >>> Whitening(np.array([1.0, 1.0]), np.array([[2.0, 0.0]]))(np.array([[3.0, 1.0], [0.0, 0.0]])).tolist()
        [[1.0], [0.0]]
        """
        xp = namespace_of(V)
        whitened = normalized(self.projected(V))
        something = xp.any(V != 0, axis=1)[:, None]
        return xp.where(something, whitened, xp.zeros_like(whitened))


def learn_whitening(V: Array, dimensions: int | None = None, shrinkage: float = 0.0) -> Whitening:
    """Whitening from vectors: population covariance in float64, its eigenvectors by falling variance.

    The sign of a direction is free; its entry farthest from 0 is made positive.

    Args:
        V: `(n, c)`, usually of unit length.
        dimensions: to keep; by default as many as vary, the rank (variances above 1e-12 of the largest).
        shrinkage: a share of the largest variance, 0 to 1, that is added to all before they are divided by: directions
            of small variance, of which few vectors tell little, are enlarged less.

    Raises:
        ArrayError: for fewer than two vectors, values that are not finite, or vectors that are all the same.
        UsageError: for fewer dimensions than one or more than the rank, or a shrinkage that cannot be.

    >>> learn_whitening(np.array([[0.0, 5.0], [4.0, 5.0]])).projection.tolist()
    [[0.5, 0.0]]
    """
    check_shrinkage(shrinkage)
    mean, covariance = _moments(_checked(V))
    xp = namespace_of(covariance)
    variances, directions = xp.linalg.eigh(covariance)
    rank = _rank(variances, V.shape[0])
    kept = rank if dimensions is None else _checked_dimensions(dimensions, rank)
    P = xp.flip(directions.T, axis=0)[:kept, :]
    upright = xp.max(P, axis=1) >= -xp.min(P, axis=1)
    P = xp.where(upright[:, None], P, -P)
    divided_by = variances + shrinkage * variances[-1]
    return Whitening(mean, P / xp.sqrt(xp.flip(divided_by)[:kept])[:, None])


def check_shrinkage(shrinkage: float) -> None:
    """Raises UsageError for what is no share.

    >>> check_shrinkage(0.01)
    """
    if not 0 <= shrinkage <= 1:
        raise UsageError(f"whitening: a shrinkage of 0 to 1 is needed, found {shrinkage:g}")


def _moments(V: Array) -> tuple[Array, Array]:
    """Mean `(c,)` and population covariance `(c, c)`, float64."""
    xp = namespace_of(V)
    n, c = V.shape
    mean, covariance = zeros_like_with((c,), V, xp.float64), zeros_like_with((c, c), V, xp.float64)
    for block in row_blocks(n):
        mean += xp.sum(double(V[block, :]), axis=0) / n
    for block in row_blocks(n):
        centred = double(V[block, :]) - mean
        covariance += centred.T @ centred / n
    return mean, covariance


def _rank(variances: Array, vectors: int) -> int:
    """How many directions vary: not more than there are vectors, less one for the mean."""
    largest = float(variances[-1])
    if not largest > 0:
        raise ArrayError(f"whitening: all {vectors} vectors are the same")
    return min(count(variances > FLOOR * largest), vectors - 1)


def _checked(V: Array) -> Array:
    if V.ndim != 2 or V.shape[0] < 2 or V.shape[1] < 1:
        raise ArrayError(f"whitening: at least two vectors (n, c) are needed, found {tuple(V.shape)}")
    xp = namespace_of(V)
    V = at_least_single(V)
    broken = V.shape[0] - count(xp.all(xp.isfinite(V), axis=1))
    if broken:
        raise ArrayError(f"whitening: {broken} of {V.shape[0]} vectors have a value that is not finite")
    return V


def _checked_dimensions(dimensions: int, rank: int) -> int:
    if not 1 <= dimensions <= rank:
        raise UsageError(f"whitening: {rank} dimensions vary; take 1 to {rank}, found {dimensions}")
    return int(dimensions)


def _beside(held: Array, array: Array) -> Array:
    """What is held, in the precision of `array`; moved to its library where it came from a file."""
    if isinstance(held, np.ndarray):
        return like(held, array)
    return namespace_of(held, array).astype(held, array.dtype, copy=False)
