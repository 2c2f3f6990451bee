"""The two pure functions of a block-wise solver: one step on a block of rows, one solve for the concepts.

Whatever is shared between blocks is small: `W (k, c)`, `H^T A (k, c)`, `H^T H (k, k)` and a scalar. Products of a
block run in `A`'s precision, sums over blocks in float64 (float32 sums are off by as much as a tolerance of 1e-5).
`H` is kept transposed, `(k, N)`: its rows are then contiguous, which coordinate descent walks along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import contiguous, like, row_blocks, row_norms_squared, zeros_like_with

# A concept shorter than this carries nothing; dividing by its length would only make noise.
TINY = 1e-30


@dataclass(frozen=True, slots=True)
class Sums:
    """What one pass over the rows leaves: `H^T A`, `H^T H` in float64, and `<A, HW>`."""

    HtA: Array
    HtH: Array
    inner: float

    def residual(self, squared_norm: float, W: Array) -> float:
        """`||A-HW||^2` from the sums, never forming `HW`; at least 0."""
        xp = namespace_of(W)
        product = float(xp.sum(self.HtH * (W @ W.T)))
        return max(squared_norm - 2 * self.inner + product, 0.0)


def sweep(X: Array, B: Array, Q: Array, sweeps: int) -> Array:
    """Hierarchical alternating least squares for `min_{X>=0} ||..||` given `B` and the Gram `Q`; X changes in place.

    Row by row `X_j <- max(X_j + (B_j - Q_j X) / Q_jj, 0)`, the exact minimum in each row (Cichocki et al. 2007;
    Gillis & Glineur 2012).

    Args:
        X, B: `(k, m)`.
        Q: `(k, k)` Gram matrix.
        sweeps: how often all rows are visited.
    """
    xp = namespace_of(X)
    diagonal = [float(Q[j, j]) for j in range(Q.shape[0])]
    for _ in range(sweeps):
        for j, length in enumerate(diagonal):
            if length <= TINY:
                continue
            X[j, :] = xp.clip(X[j, :] + (B[j, :] - Q[j, :] @ X) * (1.0 / length), 0, None)
    return X


def block_step(A_b: Array, W: Array, Ht_b: Array | None, sweeps: int) -> tuple[Array, Array]:
    """Coefficients of one block for fixed concepts, and the block's `A_b W^T`.

    Args:
        A_b: `(rows, c)`.
        W: `(k, c)` float64.
        Ht_b: `(k, rows)` coefficients to start from, or None for a cold start.
        sweeps: of coordinate descent.

    Returns:
        the new coefficients and the product, both `(k, rows)`.
    """
    xp = namespace_of(A_b)
    Q = xp.astype(W @ W.T, A_b.dtype)
    B = contiguous((A_b @ contiguous(xp.astype(W, A_b.dtype).T)).T)
    return sweep(_cold(B, Q) if Ht_b is None else Ht_b, B, Q, sweeps), B


def _cold(B: Array, Q: Array) -> Array:
    # Every concept alone would explain B_j / Q_jj; k of them share.
    xp = namespace_of(B)
    diagonal = like(np.asarray([max(float(Q[j, j]), TINY) for j in range(Q.shape[0])]), B)
    return xp.clip(B / (diagonal[:, None] * B.shape[0]), 0, None)


def fused_pass(A: Array, W: Array, Ht: Array, sweeps: int, cold: bool = False) -> Sums:
    """One pass over all rows: improves `Ht` in place for fixed `W` and gathers the sums that `W` needs next.

    Args:
        A: `(N, c)`.
        W: `(k, c)` float64.
        Ht: `(k, N)`, overwritten.
        sweeps: of coordinate descent per block.
        cold: whether `Ht` holds nothing to start from yet.
    """
    xp = namespace_of(A)
    k, c = W.shape
    HtA = zeros_like_with((k, c), W)
    HtH = zeros_like_with((k, k), W)
    inner = 0.0
    for block in row_blocks(A.shape[0]):
        A_b = A[block, :]
        Ht_b, B = block_step(A_b, W, None if cold else contiguous(Ht[:, block]), sweeps)
        Ht[:, block] = Ht_b
        HtA += xp.astype(Ht_b @ A_b, W.dtype)
        HtH += xp.astype(Ht_b @ Ht_b.T, W.dtype)
        inner += float(xp.sum(xp.sum(Ht_b * B, axis=1), dtype=xp.float64))
    return Sums(HtA, HtH, inner)


def solve_concepts(W: Array, sums: Sums, sweeps: int = 50) -> Array:
    """The best concepts for fixed coefficients, by coordinate descent in float64 from `W`. Cost independent of N."""
    xp = namespace_of(W)
    return sweep(xp.asarray(W, copy=True), sums.HtA, sums.HtH, sweeps)


def squared_row_norms(A: Array) -> Array:
    """`||a_i||^2` of every row, `(N,)` float64."""
    xp = namespace_of(A)
    norms = zeros_like_with((A.shape[0],), A, xp.float64)
    for block in row_blocks(A.shape[0]):
        norms[block] = xp.astype(row_norms_squared(A[block, :]), xp.float64)
    return norms


def squared_norm(A: Array) -> float:
    """`||A||^2` in float64."""
    return float64_sum(squared_row_norms(A))


def residual(A: Array, Ht: Array, W: Array) -> float:
    """`||A-HW||^2` row by row: exact also where the residual is tiny beside `A`."""
    xp = namespace_of(A)
    W = xp.astype(W, A.dtype)
    rows = (row_norms_squared(A[block, :] - Ht[:, block].T @ W) for block in row_blocks(A.shape[0]))
    return sum(map(float64_sum, rows))


def float64_sum(values: Array) -> float:
    """The sum, accumulated in float64."""
    xp = namespace_of(values)
    return float(xp.sum(values, dtype=xp.float64))
