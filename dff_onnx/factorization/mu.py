"""Multiplicative updates exactly as the DFF authors' code does them (Lee & Seung 2001; Collins et al. 2018).

For reproducing the paper: order of the updates, stop rule and the floor of the denominators are theirs. `hals` reaches
a lower loss in less time.
"""

from __future__ import annotations

import math

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like
from dff_onnx.errors import UsageError
from dff_onnx.factorization.distributed import DistributedRows
from dff_onnx.factorization.options import Options
from dff_onnx.factorization.result import Solution
from dff_onnx.factorization.survey import Survey

# Replaces denominators that are exactly zero; nothing is added to others.
EPSILON = 1e-7
# No factor grows by more than the inverse of this in a step: rows that all but vanished would leave float32.
SMALLEST_SHARE = 1e-30


def mu(found: Survey, k: int, rng: np.random.Generator, options: Options) -> Solution:
    """Multiplicative updates from `|N(0,1)| sqrt(mean(A)/k)`, `H` drawn before `W`.

    Args:
        found: the survey of `A`.
        k: rank.
        rng: draws the start.
        options: `tol`, every tenth step (the first included), stops when `||A-HW||_F` fell by less than this share of
            its value at the start; 0 never stops. Starts and workers are not used.

    Raises:
        UsageError: when `A` is not one array: the authors' updates need all of it at once.
    """
    if isinstance(found.rows, DistributedRows):
        raise UsageError("solver: mu needs A in one array, found parts that lie elsewhere; take coreset or hals")
    A, norm = found.rows.whole(), found.norm
    xp = namespace_of(A)
    scale = (float(xp.mean(A)) / k) ** 0.5
    H = like(np.abs(rng.standard_normal((A.shape[0], k))) * scale, A)
    W = like(np.abs(rng.standard_normal((k, A.shape[1]))) * scale, A)
    first = previous = _error(A, H, W, norm)
    history = [first**2 / norm if norm > 0 else 0.0]
    for step in range(options.max_iter):
        H = H * _quotient(A @ W.T, H @ (W @ W.T))
        W = W * _quotient(H.T @ A, (H.T @ H) @ W)
        if options.tol > 0 and step % 10 == 0:
            error = _error(A, H, W, norm)
            history.append(error**2 / norm if norm > 0 else 0.0)
            if previous - error < options.tol * first or first == 0.0:
                reason = f"the error fell by less than {options.tol:g} of its start in ten steps"
                return Solution(H.T, W, step + 1, True, reason, "random", tuple(history))
            previous = error
    reason = f"the limit of {options.max_iter} steps was reached"
    return Solution(H.T, W, options.max_iter, False, reason, "random", tuple(history))


def _quotient(numerator: Array, denominator: Array) -> Array:
    """Their ratio, the denominator floored where it is zero; finite also where it is next to it."""
    xp = namespace_of(denominator)
    floored = xp.where(denominator == 0, xp.full_like(denominator, EPSILON), denominator)
    return numerator / xp.maximum(floored, numerator * SMALLEST_SHARE)


def _error(A: Array, H: Array, W: Array, norm: float) -> float:
    xp = namespace_of(A)
    inner = float(xp.sum(xp.sum((A @ W.T) * H, axis=1), dtype=xp.float64))
    product = float(xp.sum(xp.astype(H.T @ H, xp.float64) * xp.astype(W @ W.T, xp.float64)))
    return math.sqrt(max(norm - 2 * inner + product, 0.0))
