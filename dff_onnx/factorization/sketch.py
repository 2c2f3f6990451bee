"""A sample with its columns compressed: what starts are tried on.

`S ~ Y V^T` with `Y (m, r)` and `V (c, r)` orthonormal, r from 32 to 64 up to k = 8. An iteration on `S` then touches
`m r + k c` numbers instead of `m c`. `V` comes from a subspace iteration (Halko, Martinsson & Tropp 2011) that begins
with rows of `S` drawn by squared norm, so that no Gram matrix of `c x c` is ever decomposed. What the compression
leaves out, the corrected descents of `coreset` put back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.descent import TINY
from dff_onnx.arrays.helpers import contiguous, cumulative_sum, double, identity, like, row_norms_squared

LEAST_COLUMNS = 32
COLUMNS_PER_CONCEPT = 4
ROWS_PER_COLUMN = 64
OVERSAMPLED = 1.5
NOTHING = 1e-13


@dataclass(frozen=True, slots=True)
class Sketch:
    """The compressed sample.

    Attributes:
        Y: `(m, r)`, its columns orthogonal, longest first.
        V: `(c, r)` orthonormal.
        Yt, Vt: their transposes, contiguous.
        norm: `||S||^2`, also of what the compression leaves out.
    """

    Y: Array
    V: Array
    Yt: Array
    Vt: Array
    norm: float

    def explained_by(self, W: Array) -> Array:
        """`W S^T` as `(starts, k, m)` for concepts `(starts, k, c)`."""
        xp = namespace_of(self.Y)
        starts, k, _ = W.shape
        inside = xp.reshape(W, (starts * k, -1)) @ self.V
        return xp.reshape(inside @ self.Yt, (starts, k, -1))

    def gathered_by(self, Ht: Array) -> Array:
        """`H^T S` as `(starts, k, c)` for coefficients `(starts, k, m)`."""
        xp = namespace_of(self.Y)
        starts, k, _ = Ht.shape
        inside = xp.reshape(Ht, (starts * k, -1)) @ self.Y
        return xp.reshape(inside @ self.Vt, (starts, k, -1))


def columns_for(rows: int, k: int) -> int:
    """Columns of a sketch: 32, or 4 for each concept; up to twice as many where rows are many.

    Fewer leave more loss to the passes, more cost time before them, which passes over many rows outweigh.
    """
    least = max(LEAST_COLUMNS, COLUMNS_PER_CONCEPT * k)
    return min(max(rows // ROWS_PER_COLUMN, least), 2 * least)


def compress(S: Array, k: int, rng: np.random.Generator) -> Sketch:
    """The sketch of a sample for `k` concepts.

    Args:
        S: `(m, c)`.
        k: rank.
        rng: draws the rows that the subspace begins with.
    """
    xp = namespace_of(S)
    columns = columns_for(S.shape[0], k)
    norms = double(row_norms_squared(S))
    V = _subspace(S, norms, int(OVERSAMPLED * columns), rng)
    Y = S @ V
    # Rotated so that columns of Y are orthogonal: the small Gram matrix has its eigenvectors for that.
    turn = xp.linalg.eigh(double(Y.T @ Y))[1]
    turn = xp.astype(turn[:, ::-1][:, : min(columns, Y.shape[1])], Y.dtype)
    Y, V = contiguous(Y @ turn), contiguous(V @ turn)
    return Sketch(
        Y=Y,
        V=V,
        Yt=contiguous(Y.T),
        Vt=contiguous(V.T),
        norm=float(xp.sum(norms)),
    )


def _subspace(S: Array, norms: Array, columns: int, rng: np.random.Generator) -> Array:
    """An orthonormal basis `(c, columns)` near the leading right singular vectors, by one step from drawn rows.

    A basis of all there is, where channels or rows are fewer.
    """
    xp = namespace_of(S)
    if S.shape[1] <= columns:
        return identity(S.shape[1], S)
    few = S.shape[0] <= columns
    Z = double(S.T if few else S.T @ (S @ xp.take(S, _drawn(norms, columns, rng), axis=0).T))
    # Orthonormal by its Gram matrix; directions that are not there, as in a matrix of low rank, become zero.
    squares, vectors = xp.linalg.eigh(Z.T @ Z)
    there = squares > NOTHING * squares[-1]
    scale = xp.where(there, 1.0 / xp.sqrt(xp.where(there, squares, xp.ones_like(squares))), xp.zeros_like(squares))
    return xp.astype(Z @ (vectors * scale), S.dtype)


def _drawn(norms: Array, many: int, rng: np.random.Generator) -> Array:
    """Indices of rows, evenly spaced along the running sum of their squared norms."""
    xp = namespace_of(norms)
    running = cumulative_sum(norms)
    points = like((np.arange(many) + rng.random()) / many, running) * (running[-1] + TINY)
    return xp.clip(xp.searchsorted(running, points), 0, norms.shape[0] - 1)
