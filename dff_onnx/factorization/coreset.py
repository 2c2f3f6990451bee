"""The default solver: starts on a sample of rows, then a few passes over all of them.

1. One reading checks `A`, measures it and draws rows by squared norm (`survey`, `sample`).
2. Starts race on the sample with its columns compressed (`sketch`, `descent`, `race`): their cost does not depend on N.
3. A pass over all rows finds the coefficients of the winner's concepts, and with them, free of charge, the exact loss
   and the gradient of the concepts. The next concepts come from a descent on the *sample* whose gradient is corrected
   by what the pass found, so that its fixed points are those of all rows (the idea of Shamir, Srebro & Zhang 2014 and
   of Johnson & Zhang 2013). Such a pass takes away nine tenths of what is left, one of plain alternation a half.
   Starts that the sample cannot tell apart get a few passes each before one is chosen.

Damping keeps a corrected descent near the concepts where the correction is true: more of it where the loss of all rows
rose, less where it fell (Levenberg-Marquardt).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import diagonal, double, precision
from dff_onnx.factorization.blocks import Sums
from dff_onnx.factorization.descent import Pull, State, descend, optimum, unit
from dff_onnx.factorization.options import Options
from dff_onnx.factorization.passes import coefficients, improve
from dff_onnx.factorization.race import race
from dff_onnx.factorization.result import Solution
from dff_onnx.factorization.sketch import Sketch, compress
from dff_onnx.factorization.survey import Survey

TRIAL = 2  # passes that a start gets which the sample could not tell from the best
DAMPING = 0.03
INNER, INNER_TOL = 40, 5e-7  # iterations of a corrected descent; most end after ten


@dataclass(frozen=True, slots=True)
class _Point:
    """Concepts of unit length that a pass over all rows has seen.

    Attributes:
        start: number of the start they come from.
        state: the concepts, and the sample's coefficients for them.
        sums: of the pass.
        loss: of all rows.
    """

    start: int
    state: State
    sums: Sums
    loss: float

    @property
    def W(self) -> Array:
        """`(k, c)` float64."""
        return double(self.state.W[0, ...])


def coreset(found: Survey, k: int, rng: np.random.Generator, options: Options) -> Solution:
    """Factorizes what was surveyed.

    Args:
        found: the survey of `A`.
        k: rank.
        rng: draws the starts.
        options: `tol` ends the passes when the next one is predicted to lower the loss by less than this share of it.
    """
    sketch = compress(found.sample, k, rng)
    run = race(sketch, k, options.starts, rng, found.whole)
    finalists = run.finalists if options.max_iter >= TRIAL * len(run.finalists) else run.finalists[:1]
    search = _Search(found, sketch, coefficients(found, k), options)
    leaders = []
    for start, state in enumerate(finalists):
        leaders.append(search.look(start, unit(state)))
        if len(finalists) > 1:
            leaders[-1], _ = search.descend(leaders[-1], TRIAL - 1)
    best, converged = search.descend(min(leaders, key=lambda point: point.loss), options.max_iter - len(search.history))
    if search.last is not best:
        best = search.look(best.start, best.state)
    return Solution(
        Ht=search.Ht,
        W=best.W,
        n_iter=len(search.history),
        converged=converged,
        stopped=_reason(converged, options),
        start=run.names[best.start],
        history=tuple(search.history),
        squares=diagonal(best.sums.HtH),
        rest=best.loss * found.norm,
        kkt=best.sums.kkt(best.W),
        start_losses=run.losses,
    )


def _reason(converged: bool, options: Options) -> str:
    if converged:
        return f"another pass would lower the loss by less than {options.tol:g} of it"
    return f"the limit of {options.max_iter} passes was reached"


@dataclass(slots=True)
class _Search:
    """Passes over all rows.

    Attributes:
        found, sketch: what is searched.
        Ht: `(k, N)` coefficients of the last point.
        options: of the solver.
        history: loss of every point.
        last: the point looked at last.
    """

    found: Survey
    sketch: Sketch
    Ht: Array
    options: Options
    history: list[float] = field(default_factory=list)
    last: _Point | None = None

    def look(self, start: int, state: State) -> _Point:
        """One pass: the coefficients of a state's concepts for all rows."""
        W, cold = double(state.W[0, ...]), self.last is None or self.last.start != start
        sums = improve(self.found.rows, W, self.Ht, self.options.workers, cold=cold)
        self.last = _Point(start, state, sums, sums.residual(self.found.norm, W) / (self.found.norm or 1.0))
        self.history.append(self.last.loss)
        return self.last

    def descend(self, best: _Point, passes: int) -> tuple[_Point, bool]:
        """At most so many passes on from a point; the best point, and whether another pass would not help."""
        rounding = 4 * precision(self.sketch.Y)  # of the loss, which is a difference of sums as large as 1
        damping = DAMPING
        for _ in range(passes):
            onward, gain = _corrected(self.sketch, best, damping)
            if gain <= max(self.options.tol * best.loss, rounding):
                return best, True
            here = self.look(best.start, onward)
            if here.loss < best.loss:
                best, damping = here, max(damping / 2, DAMPING)
            else:
                damping *= 8
        return best, False


def _corrected(sketch: Sketch, at: _Point, damping: float) -> tuple[State, float]:
    """The next concepts with the sample's coefficients, and the share of `||A||^2` they are to take away."""
    state, HtA, HtH = optimum(sketch, at.state)
    xp, W = namespace_of(HtH), at.state.W[0, ...]
    sampled = double(HtH[0, ...]) @ at.W - double(HtA[0, ...])
    everywhere = at.sums.HtH @ at.W - at.sums.HtA
    weights = damping * diagonal(at.sums.HtH)
    pull = Pull(xp.astype(sampled - everywhere, W.dtype), xp.astype(weights, W.dtype), W)
    onward = descend(sketch, state, INNER, INNER_TOL, pull)
    return onward, float(onward.gains[0])
