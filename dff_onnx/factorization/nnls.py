"""Coefficients for concepts that stay as they are: `H = argmin_{H>=0} ||A-HW||`."""

from __future__ import annotations

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import row_blocks, zeros_like_with
from dff_onnx.factorization.blocks import TINY, block_step, sweep

TOLERANCE = 1e-6
SWEEPS = 10
ROUNDS = 50


def nonnegative_least_squares(A: Array, W: Array) -> Array:
    """Projects rows onto concepts, block by block, until the optimality conditions hold.

    Args:
        A: `(N, c)`, `>= 0`, float32 or float64.
        W: `(k, c)`, `>= 0`.

    Returns:
        `(N, k)` in `A`'s precision. A projected gradient larger than 1e-6 of the largest `A W^T` (1e-6 in float32 is
        rounding) gets more sweeps, 500 at most.

    >>> import numpy as np
    >>> nonnegative_least_squares(np.array([[2.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[2.0, 3.0]]
    """
    xp = namespace_of(A, W)
    W = xp.astype(W, xp.float64)
    Ht = zeros_like_with((W.shape[0], A.shape[0]), A)
    for block in row_blocks(A.shape[0]):
        Ht[:, block] = _block(A[block, :], W)
    return Ht.T


def _block(A_b: Array, W: Array) -> Array:
    xp = namespace_of(A_b)
    Ht_b, B = block_step(A_b, W, None, SWEEPS)
    Q = xp.astype(W @ W.T, A_b.dtype)
    allowed = TOLERANCE * max(float(xp.max(xp.abs(B))), TINY)
    for _ in range(ROUNDS - 1):
        if _violation(Ht_b, B, Q) <= allowed:
            break
        Ht_b = sweep(Ht_b, B, Q, SWEEPS)
    return Ht_b


def _violation(Ht: Array, B: Array, Q: Array) -> float:
    """The largest entry of the projected gradient: what the Karush-Kuhn-Tucker conditions say is zero."""
    xp = namespace_of(Ht)
    gradient = Q @ Ht - B
    projected = xp.where(Ht > 0, xp.abs(gradient), xp.clip(-gradient, 0, None))
    return float(xp.max(projected))
