"""How sure a figure is: bootstrap intervals over images, and a paired permutation test of two systems.

Every figure here is a mean over groups (classes, say) of a ratio of sums over the group's images: an IoU has the
intersections above and the unions below; a share of hits, such as CorLoc, has 0 or 1 above and 1 below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dff_onnx.errors import ArrayError, UsageError

Floats = NDArray[np.float64]
AT_ONCE = 2**20  # draws held at a time: about 25 MiB


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and the figure it belongs to.

    Attributes:
        low, high: its ends.
        estimate: the figure itself.
    """

    low: float
    high: float
    estimate: float


def mean_of_ratios(numerators: ArrayLike, denominators: ArrayLike, groups: ArrayLike) -> float:
    """Mean over groups of (sum of numerators / sum of denominators).

    Args:
        numerators, denominators: `(n,)`, one for each image, finite; denominators `>= 0`.
        groups: `(n,)` labels of any kind.

    Returns:
        nan where no group has a denominator; a group without one is left out.

    Raises:
        ArrayError: when these are empty, not finite or not of one length.

    >>> mean_of_ratios([1, 1, 1], [1, 3, 1], ["cat", "cat", "dog"])
    0.75
    """
    members = _members(groups, numerators, denominators)
    sums = np.stack([_pairs(numerators, denominators)[mine].sum(axis=0) for mine in members])
    return float(_mean_over_groups(_ratios(sums)))


def bootstrap_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    groups: ArrayLike,
    samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A confidence interval of `mean_of_ratios` by the percentile bootstrap (Efron 1979).

    Images are drawn with replacement inside each group, as many as it has, and the figure is taken again. A group of
    one image cannot vary, and a draw in which a group has no denominator leaves that group out.

    Args:
        numerators, denominators, groups: as in `mean_of_ratios`.
        samples: how often.
        level: share of the draws inside the interval.
        seed: of the draws; equal input and seed give equal intervals.

    Raises:
        ArrayError: as `mean_of_ratios`.
        UsageError: when `samples` or `level` cannot be.

    >>> bootstrap_interval([1, 1, 0, 1], [1, 1, 1, 1], ["all"] * 4, seed=1)
    Interval(low=0.25, high=1.0, estimate=0.75)
    """
    _check_samples(samples)
    if not 0 < level < 1:
        raise UsageError(f"level: a share between 0 and 1 is needed, found {level}")
    estimate = mean_of_ratios(numerators, denominators, groups)
    pairs = _pairs(numerators, denominators)
    members = _members(groups, numerators, denominators)
    rng = np.random.default_rng(seed)
    drawn = _mean_over_groups(np.stack([_ratios(_drawn_sums(pairs[mine], samples, rng)) for mine in members]))
    figures = drawn[~np.isnan(drawn)]
    if not figures.size:
        return Interval(math.nan, math.nan, estimate)
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low, high, estimate)


def paired_permutation(
    numerators_a: ArrayLike,
    denominators_a: ArrayLike,
    numerators_b: ArrayLike,
    denominators_b: ArrayLike,
    groups: ArrayLike,
    samples: int = 10000,
    seed: int = 0,
) -> float:
    """How often chance alone sets two systems as far apart on the same images: a two-sided p-value.

    If the systems are equal, each image's results could as well be exchanged. They are, at random, and the difference
    of the figures is taken again: `p = (1 + those at least as large) / (1 + samples)` (Phipson & Smyth 2010).

    Args:
        numerators_a, denominators_a, numerators_b, denominators_b, groups: `(n,)`, as in `mean_of_ratios`.
        samples: how often.
        seed: of the exchanges.

    Returns:
        above 0, at most 1; nan where no group has a denominator in both systems.

    Raises:
        ArrayError: as `mean_of_ratios`.
        UsageError: when `samples` is below 1.

    >>> paired_permutation([1] * 9, [1] * 9, [0] * 9, [1] * 9, [0] * 9) < 0.01
    True
    """
    _check_samples(samples)
    members = _members(groups, numerators_a, denominators_a, numerators_b, denominators_b)
    a, b = _pairs(numerators_a, denominators_a), _pairs(numerators_b, denominators_b)
    observed = abs(float(_difference(a, b, members, np.zeros((1, len(a))))[0]))
    if math.isnan(observed):
        return math.nan
    rng = np.random.default_rng(seed)
    # Equal differences differ in their last digits when they are summed in another order.
    least = observed - 1e-12
    as_large = sum(
        int(np.count_nonzero(np.abs(_difference(a, b, members, swaps)) >= least))
        for swaps in _exchanges(samples, len(a), rng)
    )
    return (1 + as_large) / (1 + samples)


def _difference(a: Floats, b: Floats, members: Sequence[NDArray[np.intp]], swaps: Floats) -> Floats:
    """Figure of A minus figure of B for each row of `swaps (m, n)`, 1 where an image's results are exchanged."""
    apart = []
    for mine in members:
        moved = swaps[:, mine] @ (b - a)[mine]
        apart.append(_ratios(a[mine].sum(axis=0) + moved) - _ratios(b[mine].sum(axis=0) - moved))
    return _mean_over_groups(np.stack(apart))


def _exchanges(samples: int, n: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Rows of fair coins `(m, n)`, `samples` in all."""
    together = max(1, AT_ONCE // n)
    for start in range(0, samples, together):
        yield rng.integers(0, 2, (min(together, samples - start), n), np.int8).astype(np.float64)


def _drawn_sums(pairs: Floats, samples: int, rng: np.random.Generator) -> Floats:
    """Sums `(samples, 2)` of as many rows of `pairs (m, 2)` as there are, drawn with replacement."""
    m = len(pairs)
    together = max(1, AT_ONCE // m)
    sums = np.empty((samples, 2))
    for start in range(0, samples, together):
        picked = rng.integers(0, m, (min(together, samples - start), m))
        for column in (0, 1):
            sums[start : start + together, column] = pairs[:, column].take(picked).sum(axis=1)
    return sums


def _ratios(sums: Floats) -> Floats:
    """Quotients of pairs `(..., 2)`; nan where nothing is below."""
    above, below = sums[..., 0], sums[..., 1]
    quotients = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotients, where=below > 0)
    return quotients


def _mean_over_groups(ratios: Floats) -> Floats:
    """Mean along the first axis of the groups that have a ratio; nan where none has."""
    there = ~np.isnan(ratios)
    total, count = np.where(there, ratios, 0.0).sum(axis=0), there.sum(axis=0)
    means = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _pairs(numerators: ArrayLike, denominators: ArrayLike) -> Floats:
    return np.stack([np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)], axis=1)


def _members(groups: ArrayLike, *figures: ArrayLike) -> list[NDArray[np.intp]]:
    """The images of each group; refuses what does not belong together."""
    labels: NDArray[Any] = np.asarray(groups)
    arrays = [np.asarray(one, np.float64) for one in figures]
    if labels.ndim != 1 or not labels.size or any(one.shape != labels.shape for one in arrays):
        shapes = ", ".join(str(one.shape) for one in (*arrays, labels))
        raise ArrayError(f"figures and groups of {shapes} images are given, and as many are needed of each")
    if not all(np.isfinite(one).all() for one in arrays) or any((one < 0).any() for one in arrays[1::2]):
        raise ArrayError("a figure is not finite, or a denominator is negative")
    inverse = np.unique(labels, return_inverse=True)[1]
    return [np.flatnonzero(inverse == group) for group in range(int(inverse.max()) + 1)]


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise UsageError(f"samples: at least one is needed, found {samples}")
