"""How many concepts a set of pictures has: as many as each half of its pictures would show by itself.

Concepts that are there are found again in other pictures of the same kind, those that merely fit the pictures at hand
are not; and with too few concepts, which of them share one depends on the pictures, too. So stability is highest at the
right number (Brunet et al. 2004; Lange et al. 2004 for clusters; Kotliar et al. 2019), and `halves` measures it.
`docs/choice.md` has the figures behind the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array
from dff_onnx.concepts.halves import FEWEST, Tried, try_numbers
from dff_onnx.errors import UsageError
from dff_onnx.progress import Progress, Silent

MOST = 10
# Noise reaches 0.23 and a single planted concept 0.59; of a hundred planted sets of more, 99 reach 0.61.
LEAST = 0.6
# What starts and splits leave uncertain: 0.02 to 0.06 find as many planted numbers.
NEAR = 0.04
# The share from which a number explains everything: what more concepts would fit is rounding, and halves share it.
ALL = 1 - 1e-5


@dataclass(frozen=True, slots=True)
class Choice:
    """A number of concepts.

    Attributes:
        k: that many.
        reason: why, with its figures.
        tried: the numbers that were tried, from 1.
    """

    k: int
    reason: str
    tried: tuple[Tried, ...]


def choose_k(
    A: Array, cells: Sequence[int], *, seed: int = 0, most: int = MOST, progress: Progress | None = None
) -> Choice:
    """Chooses the number of concepts for a set of pictures.

    The largest number from 2 whose concepts agree between halves of the pictures within 0.04 as well as those of any
    other; 1 where the best is below 0.6. Numbers above one that explains everything do not count. For three pictures or
    fewer, where the explained share bends. The order of the pictures changes nothing.

    Args:
        A: `(N, c)` activations, picture after picture. Of more than 4096 rows, 4096 are drawn.
        cells: rows of each picture.
        seed: of draws, halves and starts; the same seed gives the same figures.
        most: concepts at most; fewer where the rows of half the pictures, or the channels, allow fewer.
        progress: is told of every set of rows that was factorized.

    Raises:
        ArrayError: when `A` is negative, not finite or not a matrix of floats.
        UsageError: when `cells` do not fit `A`, or `most` is below 1.

    >>> rng = np.random.default_rng(0)
    >>> A = np.repeat(np.eye(3), 20, axis=1)[rng.integers(3, size=600)] * rng.random((600, 1))
    >>> choose_k(A, [50] * 12, most=5).k
    3
    """
    if most < 1:
        raise UsageError(f"most: at least one concept is needed, found {most}")
    tried = try_numbers(A, cells, seed, most, progress or Silent())
    if len(tried) == 1:
        return Choice(1, "1: the set allows no more", tried)
    return by_knee(tried) if tried[0].halves is None else by_halves(tried)


def by_halves(tried: Sequence[Tried]) -> Choice:
    """The rule, for figures that have `halves`.

    Args:
        tried: from one concept to two or more.
    """
    enough = next((one.k for one in tried if one.explained > ALL), tried[-1].k)
    halves = {one.k: one.halves or 0.0 for one in tried if 1 < one.k <= enough}
    if not halves:
        return Choice(1, "1: one concept explains everything", tuple(tried))
    best = max(halves.values())
    if best < LEAST:
        reason = f"1: with more, random halves of the pictures agree to {best:.3f} at most, and {LEAST} is needed"
        return Choice(1, reason, tuple(tried))
    k = max(k for k, value in halves.items() if value >= best - NEAR)
    peak = min(k for k, value in halves.items() if value == best)
    reason = f"{k}: the concepts of random halves of the pictures agree to {halves[k]:.2f}"
    if k != peak:
        reason += f", nearly the best ({best:.2f}, with {peak})"
    after = {more: value for more, value in halves.items() if more > k}
    if after:
        more = max(after, key=lambda number: after[number])
        reason += f"; with more to {after[more]:.2f} at most"
    return Choice(k, reason, tuple(tried))


def by_knee(tried: Sequence[Tried]) -> Choice:
    """The rule for sets that cannot be halved."""
    k = knee([one.explained for one in tried])
    reason = f"{k}: fewer than {FEWEST} pictures cannot be halved; what more concepts explain bends most here"
    return Choice(k, reason, tuple(tried))


def knee(explained: Sequence[float]) -> int:
    """Where a rising curve bends: the number, from 1, that lies highest above the line from its first to its last.

    The rule of Satopää et al. 2011 ("Kneedle") without its smoothing.

    >>> knee([0.3, 0.5, 0.6, 0.62, 0.64])
    3
    """
    line = np.linspace(explained[0], explained[-1], len(explained))
    return int(np.argmax(np.round(np.asarray(explained) - line, 9))) + 1
