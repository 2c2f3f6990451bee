"""Hierarchical alternating least squares over all rows: extrapolated passes until one no longer helps.

The classical solver (Cichocki et al. 2007; Gillis & Glineur 2012), the concepts extrapolated between passes as Ang &
Gillis (2019) do and taken back when the loss rises. It starts where `coreset` does; every step after that is a full
one, which costs more passes and asks no sample for advice.
"""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays import namespace_of
from dff_onnx.arrays.helpers import diagonal, double, precision
from dff_onnx.factorization.blocks import solve_concepts
from dff_onnx.factorization.options import Options
from dff_onnx.factorization.passes import coefficients, improve
from dff_onnx.factorization.race import race
from dff_onnx.factorization.result import Solution
from dff_onnx.factorization.sketch import compress
from dff_onnx.factorization.survey import Survey


def hals(found: Survey, k: int, rng: np.random.Generator, options: Options) -> Solution:
    """Factorizes what was surveyed by extrapolated coordinate descent.

    Args:
        found: the survey of `A`.
        k: rank.
        rng: draws the starts.
        options: `tol` ends the passes when one lowers the loss by less than this share of it.
    """
    sketch = compress(found.sample, k, rng)
    winner = race(sketch, k, options.starts, rng, found.whole)
    xp = namespace_of(winner.finalists[0].W)
    W, previous, beta = double(winner.finalists[0].W[0, ...]), None, 0.5
    Ht = coefficients(found, k)
    rounding = 4 * precision(sketch.Y)  # of the loss, which is a difference of sums as large as 1
    losses: list[float] = []
    while True:
        sums = improve(found.rows, W, Ht, options.workers, cold=not losses)
        losses.append(sums.residual(found.norm, W) / (found.norm or 1.0))
        fell = losses[-2] - losses[-1] if len(losses) > 1 else float("inf")
        # The loss fell, but not by enough, or moved by rounding alone.
        converged = 0 <= fell <= options.tol * losses[-1] or abs(fell) <= rounding
        if converged or len(losses) == options.max_iter:
            break
        solved = solve_concepts(W, sums.HtA, sums.HtH)
        if fell < 0 or previous is None:  # extrapolated too far: go on from the solved concepts alone
            beta, W = (beta * 0.6 if fell < 0 else beta), solved
        else:
            beta, W = min(beta * 1.1, 1.0), xp.clip(solved + beta * (solved - previous), 0, None)
        previous = solved
    reason = f"a pass lowered the loss by less than {options.tol:g} of it"
    return Solution(
        Ht=Ht,
        W=W,
        n_iter=len(losses),
        converged=converged,
        stopped=reason if converged else f"the limit of {options.max_iter} passes was reached",
        start=winner.names[0],
        history=tuple(losses),
        start_losses=winner.losses,
        squares=diagonal(sums.HtH),
        rest=losses[-1] * found.norm,
        kkt=sums.kkt(W),
    )
