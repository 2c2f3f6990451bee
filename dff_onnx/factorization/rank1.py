"""k = 1 has a closed form: for `A >= 0` the best rank-1 factorization is the leading singular pair.

By Perron-Frobenius its vectors are non-negative, so the constraint costs nothing. Power iteration finds it in a few
passes and needs no seed; where the first two singular values are close, the Gram matrix's eigenvector finishes.
"""

from __future__ import annotations

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import length, row_blocks, zeros_like_with
from dff_onnx.factorization.result import Solution

TOLERANCE = 1e-7
PASSES = 20


def rank1(A: Array) -> Solution:
    """The leading pair of `A (N, c)`.

    Returns:
        `Ht = A v1` as `(1, N)` and `W = v1` as `(1, c)`; exact to about 1e-7 in the direction.
    """
    xp = namespace_of(A)
    v, passes = _power_iteration(A)
    if v is None:
        v, passes = _leading_eigenvector(A), passes + 1
    v = xp.abs(v)  # an eigenvector's sign is free, rounding may leave -0
    Ht = xp.reshape(A @ xp.astype(v, A.dtype), (1, -1))
    return Solution(Ht, xp.reshape(v, (1, -1)), passes, True, "the leading singular pair was reached")


def _power_iteration(A: Array) -> tuple[Array | None, int]:
    """The vector, or None where it comes too slowly; and the passes made."""
    xp = namespace_of(A)
    v = _unit(xp.sum(A, axis=0, dtype=xp.float64))
    previous = 0.0
    for step in range(1, PASSES + 1):
        new = _unit(_gram_times(A, v))
        change = length(new - v)
        v = new
        # Linear convergence: what is left is change * ratio / (1 - ratio).
        ratio = min(change / previous, 1.0) if previous else 1.0
        if change * ratio <= TOLERANCE * (1.0 - ratio) or change == 0.0:
            return v, step
        previous = change
    return None, PASSES


def _unit(v: Array) -> Array:
    xp = namespace_of(v)
    size = length(v)
    # An A of zeros has no direction; every unit vector is as good.
    return v / size if size > 0 else xp.ones_like(v) / v.shape[0] ** 0.5


def _gram_times(A: Array, v: Array) -> Array:
    """`A^T A v` in one pass, summed in float64."""
    xp = namespace_of(A)
    v32, total = xp.astype(v, A.dtype), zeros_like_with(v.shape, v)
    for block in row_blocks(A.shape[0]):
        total += xp.astype((A[block, :] @ v32) @ A[block, :], v.dtype)
    return total


def _leading_eigenvector(A: Array) -> Array:
    """From the `(c, c)` Gram matrix; `c` is at most a few thousand."""
    xp = namespace_of(A)
    gram = zeros_like_with((A.shape[1], A.shape[1]), A, xp.float64)
    for block in row_blocks(A.shape[0]):
        gram += xp.astype(A[block, :].T @ A[block, :], xp.float64)
    return xp.linalg.eigh(gram)[1][:, -1]
