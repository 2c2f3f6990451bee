"""Coefficients for concepts that stay as they are: `H = argmin_{H>=0} ||A-HW||`."""

from __future__ import annotations

from typing import Any

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.descent import TINY
from dff_onnx.arrays.products import rows_times
from dff_onnx.errors import ArrayError
from dff_onnx.factorization.blocks import Concepts, projected
from dff_onnx.factorization.passes import workers_for
from dff_onnx.factorization.pivoting import solved
from dff_onnx.factorization.rows import rows_of
from dff_onnx.factorization.survey import checked_block
from dff_onnx.threads import in_order

TOLERANCE = 1e-6
SWEEPS = 10
ROUNDS = 50


def nonnegative_least_squares(A: Any, W: Array, threads: int | None = None, *, exact: bool = False) -> Array:
    """Projects rows onto concepts, block by block, until the optimality conditions hold.

    Args:
        A: `(N, c)`, `>= 0`, or an iterable of blocks of rows, as in `factorize`.
        W: `(k, c)`, `>= 0`.
        threads: that work on blocks; None takes the cores there are, where the matrix is large enough to gain.
        exact: solve to the end, by pivoting in float64.

    Returns:
        `(N, k)` in `A`'s precision. A projected gradient larger than 1e-6 of the largest `A W^T` (1e-6 in float32 is
        rounding) gets more sweeps, 500 at most; where concepts are so much alike that these are too few, the rows are
        solved exactly.

    Raises:
        ArrayError: when `A` is no matrix of finite values `>= 0`, or has other channels than `W`.

    >>> import numpy as np
    >>> nonnegative_least_squares(np.array([[2.0, 3.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [[2.0, 3.0]]
    """
    rows = rows_of(A)
    xp = namespace_of(W)
    W = xp.astype(W, xp.float64)

    def project(item: tuple[slice, Array]) -> Array:
        A_b = item[1]
        if A_b.shape[1] != W.shape[1]:
            raise ArrayError(f"A: {A_b.shape[1]} channels, but the concepts were found in {W.shape[1]}")
        checked_block(A_b)
        return _block(A_b, W, exact)

    with single_threaded_blas():
        parts = list(in_order(rows, project, workers_for(rows, threads)))
    return xp.concat(parts, axis=1).T


def _block(A_b: Array, W: Array, exact: bool) -> Array:
    xp = namespace_of(A_b)
    concepts = Concepts.of(W, A_b.dtype)
    B, gram = rows_times(A_b, concepts.Wt), concepts.gram
    Ht_b = gram.descend(gram.cold(B), B, SWEEPS)
    allowed = TOLERANCE * max(float(xp.max(xp.abs(B))), TINY)
    for _ in range(0 if exact else ROUNDS - 1):
        if _violation(Ht_b, B, gram.Q) <= allowed:
            return Ht_b
        Ht_b = gram.descend(Ht_b, B, SWEEPS)
    return solved(Ht_b, B, gram.Q)


def _violation(Ht: Array, B: Array, Q: Array) -> float:
    """The largest entry of the projected gradient: what the Karush-Kuhn-Tucker conditions say is zero."""
    xp = namespace_of(Ht)
    return float(xp.max(xp.abs(projected(Q @ Ht - B, Ht))))
