"""Counts of values between two floats, so fine that two of them find any order statistic exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like

BINS = 2**16
INFINITE = 0x7F800000  # the bits of float32 infinity: above them there are no numbers


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie from each edge to the next.

    The edges are evenly spaced among the float32 numbers, whose bits, read as whole numbers, have their order: as many
    numbers lie in one bin as in another, and in a bin of a bin of all of them there is one.

    Attributes:
        edges: ascending, float32; the last bin has everything from the last edge on.
        counts: of each bin, changed by `add`.
        single: whether each bin has one number.
    """

    edges: NDArray[np.float32]
    counts: NDArray[np.int64]
    single: bool

    @classmethod
    def between(cls, low: float, high: float) -> Histogram:
        """Empty bins, at most 65 536, from `low >= 0` to `high`.

        >>> bins = Histogram.between(1.0, 2.0)
        >>> float(bins.edges[0]), len(bins.edges), bins.single
        (1.0, 65028, False)
        """
        first, last = (int(np.float32(value).view(np.uint32)) for value in (low, high))
        step = max(-(-(last - first + 1) // BINS), 1)
        bits = np.arange(first, min(last, INFINITE) + 1, step, dtype=np.uint32)
        return cls(bits.view(np.float32), np.zeros(len(bits), np.int64), step == 1)

    def add(self, values: Array) -> None:
        """Counts values, none of them below the first edge."""
        xp = namespace_of(values)
        places = to_numpy(xp.searchsorted(xp.sort(values), like(self.edges, values)))
        self.counts[:] += np.diff(places, append=values.shape[0])

    def bin_of(self, rank: int) -> int:
        """The bin of the value that has so many before it."""
        return int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))

    def bracket_of(self, index: int) -> tuple[float, float]:
        """The smallest and the largest number that a bin may have."""
        last = index == len(self.edges) - 1
        return float(self.edges[index]), float(np.inf if last else np.nextafter(self.edges[index + 1], np.float32(0)))
