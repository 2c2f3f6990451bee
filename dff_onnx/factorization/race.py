"""The race of the starts on a sample, and who is let through to all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import namespace_of, to_numpy
from dff_onnx.arrays.descent import TINY
from dff_onnx.factorization.descent import State, descend, row_losses
from dff_onnx.factorization.sketch import Sketch
from dff_onnx.factorization.starts import starts

# Iterations of a round, and how many starts it leaves: what ten iterations cannot tell apart, twenty-two can. On a
# sample all that are left go to the end, because the sample's best need not be the best of all rows.
ROUNDS_ON_ALL = ((10, 4), (12, 1))
ROUNDS_ON_SAMPLE = ((10, 6),)
LAST, LAST_TOL = 100, 2e-6
FINALISTS = 2  # a third was never the best in thirty runs on real features, and costs two passes
SAME = 1e-5  # of the loss: two descents that end closer than this found the same minimum
DOUBT = 2.0  # standard errors


@dataclass(frozen=True, slots=True)
class Race:
    """How the race ended.

    Attributes:
        finalists: descents of one start each, best first; the others differ from the first by less than the sample
            can tell.
        names: of their starts.
        losses: of every start when it was last seen, on the sample.
    """

    finalists: tuple[State, ...]
    names: tuple[str, ...]
    losses: tuple[float, ...]


def race(sketch: Sketch, k: int, many: int, rng: np.random.Generator, whole: bool) -> Race:
    """Tries starts in rounds; after each round the better ones go on.

    Args:
        sketch: of a sample.
        k: rank.
        many: starts.
        rng: draws them.
        whole: whether the sample is all there is, so that its minimum is the one looked for.
    """
    names, W = starts(sketch, k, many, rng)
    state, left = State(W), np.arange(many)
    seen = np.zeros(many)
    for iterations, kept in ROUNDS_ON_ALL if whole else ROUNDS_ON_SAMPLE:
        if len(left) > kept:
            state = descend(sketch, state, iterations, 0.0)
            seen[left] = state.losses
            state, left = _best(state, left, kept)
    state = descend(sketch, state, LAST, LAST_TOL)
    seen[left] = state.losses
    state, left = _best(state, left, len(left))
    through = [0] if whole else _undecided(sketch, state)[:FINALISTS]
    return Race(
        finalists=tuple(state.chosen(np.asarray([i])) for i in through),
        names=tuple(names[left[i]] for i in through),
        losses=tuple(seen.tolist()),
    )


def _best(state: State, left: NDArray[np.int64], kept: int) -> tuple[State, NDArray[np.int64]]:
    order = np.argsort(state.losses, kind="stable")[:kept]
    return state.chosen(order), left[order]


def _undecided(sketch: Sketch, state: State) -> list[int]:
    """Which descents, best first, may be the best on all rows.

    Drawn rows bring a difference of two losses with its standard error. A descent whose minimum was found by a better
    one, too, is left out.
    """
    xp = namespace_of(state.W)
    rows = row_losses(sketch, state)
    more = rows - rows[:1, :]
    mean = xp.mean(more, axis=1)
    error = to_numpy(xp.sqrt(xp.sum((more - mean[:, None]) ** 2, axis=1))) / max(sketch.norm, TINY)
    through = [0]
    for i in range(1, len(state.losses)):
        apart = state.losses[i] - state.losses[through]
        if apart[0] <= DOUBT * error[i] and np.min(np.abs(apart)) > SAME * state.losses[0]:
            through.append(i)
    return through
