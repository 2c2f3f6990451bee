"""Otsu's thresholds: the values that part a histogram into classes of least variance.

Otsu, "A threshold selection method from gray-level histograms" (1979), for two classes and for three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 256
ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Parting:
    """Thresholds and how well they part the values.

    Attributes:
        thresholds: ascending; a value belongs to the class above the last one it reaches.
        explained: share of the variance that lies between the classes, 0..1. Of normally distributed values, two
            classes explain `2 / pi` = 0.64; of two separate peaks, nearly 1.
    """

    thresholds: tuple[float, ...]
    explained: float


def two_classes(values: NDArray[np.floating], bins: int = BINS) -> Parting:
    """The threshold between two classes.

    Args:
        values: any shape, finite. Where all are equal, the threshold is that value and 0 is explained.
        bins: of the histogram; the threshold is the lower edge of one.

    >>> round(two_classes(np.array([0.0, 0.1, 0.9, 1.0])).explained, 3)
    0.988
    """
    return two_classes_of_counts(*_histogram(values, bins))


def two_classes_of_counts(counts: NDArray[np.intp], edges: NDArray[np.floating]) -> Parting:
    """As `two_classes`, of a histogram: `(bins,)` counts between `(bins + 1,)` edges."""
    moments = _Moments.of(counts, edges)
    if len(counts) == 1:
        return Parting((float(edges[0]),), 0.0)
    cuts = np.arange(1, len(counts))
    between = moments.between(np.zeros_like(cuts), cuts) + moments.between(cuts, np.full_like(cuts, len(counts)))
    best = int(between.argmax())
    return moments.parting((int(cuts[best]),), between[best])


def three_classes(values: NDArray[np.floating], bins: int = BINS) -> Parting:
    """The two thresholds between three classes; arguments as `two_classes`.

    >>> three_classes(np.array([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])).explained
    1.0
    """
    moments = _Moments.of(*_histogram(values, bins))
    if len(moments.weight) == 2:
        return Parting((float(moments.edges[0]),) * 2, 0.0)
    low, high = np.triu_indices(bins, 1)
    low, high = low[low > 0], high[low > 0]
    zero, end = np.zeros_like(low), np.full_like(low, bins)
    between = moments.between(zero, low) + moments.between(low, high) + moments.between(high, end)
    best = int(between.argmax())
    return moments.parting((int(low[best]), int(high[best])), between[best])


def _histogram(values: NDArray[np.floating], bins: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """In float64; values that differ by no more than rounding count as equal."""
    low, high = float(values.min()), float(values.max())
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        return np.asarray([values.size]), np.asarray([low, high])
    counts, edges = np.histogram(values.astype(np.float64), bins)
    return counts, edges


@dataclass(frozen=True, slots=True)
class _Moments:
    """Running sums over a histogram's bins."""

    edges: NDArray[np.floating]
    weight: NDArray[np.float64]
    total: NDArray[np.float64]
    variance: float

    @classmethod
    def of(cls, counts: NDArray[np.intp], edges: NDArray[np.floating]) -> _Moments:
        centres = (np.arange(len(counts)) + 0.5) / len(counts)  # in units of the range
        share = counts / max(counts.sum(), 1)
        centred = centres - share @ centres
        weight, total = (np.concatenate([[0.0], np.cumsum(part)]) for part in (share, share * centred))
        return cls(edges, weight, total, float(share @ centred**2))

    def between(self, first: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.float64]:
        """What the classes of the bins `first <= bin < end` contribute to the variance between classes."""
        weight = self.weight[end] - self.weight[first]
        total = self.total[end] - self.total[first]  # the mean is zero, so nothing is subtracted
        found: NDArray[np.float64] = np.where(weight > 0, total**2 / np.maximum(weight, 1e-12), 0.0)
        return found

    def parting(self, cuts: tuple[int, ...], between: float) -> Parting:
        """At these bins; values that are all equal part at themselves."""
        if self.variance <= 1e-12:
            only = int(np.diff(self.weight).argmax())
            return Parting((float(self.edges[only]),) * len(cuts), 0.0)
        return Parting(tuple(float(self.edges[cut]) for cut in cuts), min(1.0, float(between) / self.variance))
