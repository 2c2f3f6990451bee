"""Hierarchical alternating least squares with extrapolation, from the best of several starts.

Coordinate descent in both factors (Cichocki et al. 2007; Gillis & Glineur 2012), the concepts extrapolated between
passes as Ang & Gillis (2019) do and taken back when the loss rises. Starts run on a sample of rows; the two best go
on to convergence there, and the best of these starts the passes over all rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import contiguous, precision, row_blocks, zeros_like_with
from dff_onnx.factorization.blocks import block_step, float64_sum, fused_pass, solve_concepts, squared_norm
from dff_onnx.factorization.result import Solution
from dff_onnx.factorization.starts import kmeans_plus_plus, nndsvd, sample_rows

# Up to so many rows starts are tried on all of them: half a matrix can favour another minimum than the whole.
WHOLE = 20_000
SAMPLE = 5000  # rows of a larger matrix; a thousand for each concept when k > 5
SHORT = 5  # passes that a start gets to show what it is worth
KEPT = 2  # starts that go on
COLD_SWEEPS = 6  # cold coefficients are within 6e-8 of their optimum at k = 5, 2e-5 at k = 20
WARM_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class _Descent:
    W: Array
    Ht: Array
    losses: tuple[float, ...]
    converged: bool


def hals(
    A: Array, k: int, rng: np.random.Generator, norms: Array, max_iter: int = 200, tol: float = 2e-5, starts: int = 8
) -> Solution:
    """Factorizes `A` by extrapolated coordinate descent.

    Args:
        A: `(N, c)`.
        k: rank.
        rng: draws the sample and the starts.
        norms: `(N,)` float64, squared norms of the rows.
        max_iter: passes over all rows at most.
        tol: a pass that lowers the loss by less than this share of it ends the descent.
        starts: one from the singular vectors, the others by k-means++.
    """
    norm = float64_sum(norms)
    S = A if A.shape[0] <= WHOLE else sample_rows(A, norms, max(SAMPLE, 1000 * k), rng)
    norm_S = norm if S is A else squared_norm(S)
    name, best = _best_start(S, k, rng, norm_S, starts, tol)
    best = _descend(A, best.W, norm, max_iter, tol, best.Ht if S is A else None)
    rest = _polish(A, best, norm)
    n = len(best.losses)
    if best.converged:
        reason = f"a pass lowered the loss by less than {tol:g} of it"
    else:
        reason = f"the limit of {max_iter} passes was reached"
    return Solution(best.Ht, best.W, n, best.converged, reason, name, best.losses, rest)


def _polish(A: Array, found: _Descent, norm: float) -> float:
    """Coefficients at their optimum for the last concepts, in place; returns `||A-HW||^2`."""
    xp = namespace_of(A)
    product, inner = found.W @ found.W.T, 0.0
    for block in row_blocks(A.shape[0]):
        Ht, B = block_step(A[block, :], found.W, contiguous(found.Ht[:, block]), COLD_SWEEPS)
        found.Ht[:, block] = Ht
        gram = xp.astype(Ht @ Ht.T, xp.float64)
        inner += float(xp.sum(gram * product)) - 2 * float64_sum(xp.sum(Ht * B, axis=1))
    return max(norm + inner, 0.0)


def _best_start(
    S: Array, k: int, rng: np.random.Generator, norm: float, starts: int, tol: float
) -> tuple[str, _Descent]:
    candidates = [("nndsvd", nndsvd(S, k))]
    candidates += [(f"k-means++ {i}", kmeans_plus_plus(S, k, rng)) for i in range(1, starts)]
    tried = [(name, _descend(S, W, norm, SHORT, tol)) for name, W in candidates]
    tried.sort(key=lambda item: item[1].losses[-1])
    kept = [(name, _descend(S, t.W, norm, 100, tol, t.Ht)) for name, t in tried[:KEPT]]
    return min(kept, key=lambda item: item[1].losses[-1])


def _descend(A: Array, W: Array, norm: float, max_iter: int, tol: float, Ht: Array | None = None) -> _Descent:
    """Passes over the rows of `A` until one no longer helps; the factors returned belong together."""
    xp = namespace_of(A)
    cold = Ht is None
    Ht = zeros_like_with((W.shape[0], A.shape[0]), A) if Ht is None else xp.asarray(Ht, copy=True)
    previous_W, beta = None, 0.5
    rounding = 4 * precision(A)  # of the loss, which is a difference of sums as large as 1
    losses: list[float] = []
    for step in range(max_iter):
        sums = fused_pass(A, W, Ht, COLD_SWEEPS if cold else WARM_SWEEPS, cold)
        cold = False
        losses.append(sums.residual(norm, W) / norm if norm > 0 else 0.0)
        fell = losses[-2] - losses[-1] if step else float("inf")
        if step and _settled(fell, tol * losses[-2], rounding):
            return _Descent(W, Ht, tuple(losses), True)
        if step == max_iter - 1:
            break
        solved = solve_concepts(W, sums)
        if fell < 0 or previous_W is None:  # extrapolated too far: go on from the solved concepts alone
            beta, W_next = (beta * 0.6, solved) if fell < 0 else (beta, solved)
        else:
            W_next = xp.clip(solved + beta * (solved - previous_W), 0, None)
            beta = min(beta * 1.1, 1.0)
        previous_W, W = solved, W_next
    return _Descent(W, Ht, tuple(losses), False)


def _settled(fell: float, wanted: float, rounding: float) -> bool:
    """Whether a pass no longer helps: the loss fell, but not by enough, or moved by rounding alone."""
    return 0 <= fell <= wanted or abs(fell) <= rounding
