"""A concept's threshold: a percentile of its heat maps over the whole set (DFF, section 4.3).

It is taken over the maps at the network's input size, so that every image has the same weight. Those are a quarter of
a million values for each image, wanted for nothing but one order statistic, so they are never kept: a sample brackets
the value, one pass counts what lies below the bracket and keeps what lies inside. Of a set so large that even those
are many, a histogram of 65 536 bins is kept instead, and another pass looks into the bin that the value fell into. The
answer is exact; a bracket that turns out wrong is widened. Memory does not grow with the set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like
from dff_onnx.maps.heat import heat_maps
from dff_onnx.maps.histogram import Histogram
from dff_onnx.maps.upsample import bilinear_weights
from dff_onnx.records import Grid

# The bracket's half-width, as a share of the values: it is narrow where the sample is large.
MARGIN = 0.004
LATTICE = 8  # sampled rows and columns of each map
SAMPLED = 2**18  # values of each concept in the sample; of a large set, not every image is in it
KEPT = 2**22  # values that a pass keeps, of all concepts together


@dataclass(frozen=True, slots=True)
class Search:
    """Order statistics of one concept are sought in `[low, high]`.

    Attributes:
        concept: its number.
        ranks: sought.
        low, high: of the bracket.
    """

    concept: int
    ranks: tuple[int, ...]
    low: float
    high: float


@dataclass(slots=True)
class Counted:
    """What one pass found: values inside the bracket, or their histogram where they are many.

    Attributes:
        search: what is sought.
        most: values that are kept.
        below, at_low: how many lie below the bracket, and on its lower end.
        held: how many were kept.
        inside: those.
        histogram: of what lies inside, in their place.
    """

    search: Search
    most: int
    below: int = 0
    at_low: int = 0
    held: int = 0
    inside: list[Array] = field(default_factory=list)
    histogram: Histogram | None = None

    def keep(self, values: Array) -> None:
        """Takes values inside the bracket."""
        self.inside.append(values)
        self.held += values.shape[0]
        if self.held > self.most:
            self.count()

    def join(self, other: Counted) -> None:
        """Takes what the same search found in other pictures."""
        self.below, self.at_low = self.below + other.below, self.at_low + other.at_low
        for values in other.inside:
            self.keep(values)
        if other.histogram is not None:
            self.count()
            if self.histogram is not None:
                self.histogram.counts[:] += other.histogram.counts

    def count(self) -> None:
        """Turns values that were kept into counts."""
        if self.histogram is None:
            self.histogram = Histogram.between(self.search.low, self.search.high)
        if self.inside:
            self.histogram.add(namespace_of(self.inside[0]).concat(self.inside))
        self.inside, self.held = [], 0


def set_percentile(
    H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], percent: float = 75.0
) -> NDArray[np.float32]:
    """NumPy's linear percentile of each concept over all values of all upsampled maps.

    Args:
        H: `(N, k)` coefficients, `>= 0`, finite.
        grids: of the images, in the order of `H`'s rows.
        sizes: to upsample to, one for each image.
        percent: 0 to 100.

    Returns:
        `(k,)` float32, on the host.

    >>> import numpy as np
    >>> H = np.arange(4, dtype=np.float32)[:, None]
    >>> set_percentile(H, [Grid(2, 2)], [Grid(2, 2)], 50).tolist()
    [1.5]
    """
    total = sum(size.cells for size in sizes)
    return percentile_by(total, percent, sampled(H, grids, sizes), lambda searches: counted(H, grids, sizes, searches))


def percentile_by(
    total: int, percent: float, sample: Array, counts: Callable[[Sequence[Search]], Sequence[Counted]]
) -> NDArray[np.float32]:
    """The same from values that may lie elsewhere.

    Args:
        total: values of each concept.
        percent: 0 to 100.
        sample: `(values, k)`, each concept's sorted; see `sampled`. It decides how long the search takes, not what it
            finds.
        counts: what a pass over all values finds, for each search; see `counted`.
    """
    position = (total - 1) * percent / 100
    rank, fraction = math.floor(position), position - math.floor(position)
    ranks = tuple(sorted({rank, min(rank + 1, total - 1)}))
    margins = dict.fromkeys(range(sample.shape[1]), MARGIN + 2 / math.sqrt(sample.shape[0]))
    searches = [_bracketed(sample, j, ranks, percent / 100, margin) for j, margin in margins.items()]
    values: dict[tuple[int, int], float] = {}
    while searches:
        ahead: list[Search] = []
        for tally in counts(searches):
            j, found = tally.search.concept, _order_statistics(tally)
            if found is None:
                margins[j] *= 8
                ahead.append(_bracketed(sample, j, tally.search.ranks, percent / 100, margins[j]))
                continue
            values |= {(j, rank): value for rank, value in found[0].items()}
            ahead += found[1]
        searches = ahead
    pairs = [(values[j, ranks[0]], values[j, ranks[-1]]) for j in range(sample.shape[1])]
    return np.asarray([low + (high - low) * fraction for low, high in pairs], np.float32)


def sampled(H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], pictures: int | None = None) -> Array:
    """Values on a lattice of upsampled maps, `(values, k)`, each concept's sorted.

    Args:
        H, grids, sizes: see `set_percentile`.
        pictures: of the whole set, where these are a part of it.
    """
    xp = namespace_of(H)
    parts = []
    every = -(-(pictures or len(grids)) * LATTICE**2 // SAMPLED)
    for index, heat in heat_maps(H, grids, every):
        grid, size = grids[index], sizes[index]
        rows, columns = (
            like(bilinear_weights(source, target)[_lattice(target)], H)
            for source, target in ((grid.height, size.height), (grid.width, size.width))
        )
        values = xp.matmul(xp.matmul(rows, heat), columns.T)
        parts.append(xp.reshape(values, (H.shape[1], -1)).T)
    return xp.sort(xp.concat(parts), axis=0)


def _lattice(size: int) -> NDArray[np.int64]:
    return np.unique(((np.arange(LATTICE) + 0.5) * size / LATTICE).astype(np.int64))


def _bracketed(sample: Array, concept: int, ranks: tuple[int, ...], share: float, margin: float) -> Search:
    """A search between the sample's own order statistics, a margin below and above."""
    ordered, last = sample[:, concept], sample.shape[0] - 1
    low, high = math.floor((share - margin) * last), math.ceil((share + margin) * last)
    return Search(
        concept,
        ranks,
        float(ordered[low]) if low >= 0 else 0.0,  # heat maps hold nothing below zero
        float(ordered[high]) if high <= last else math.inf,
    )


def counted(H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], searches: Sequence[Search]) -> list[Counted]:
    """One pass: what lies below the bracket of each search, and inside."""
    tallies = [Counted(search, KEPT // len(searches)) for search in searches]
    for index, heat in heat_maps(H, grids):
        for tally in tallies:
            _count(heat[tally.search.concept, :, :], sizes[index], tally)
    return tallies


def _count(heat: Array, size: Grid, tally: Counted) -> None:
    """One map's share of the tally. Rows that stay below the bracket are counted without being widened."""
    xp, low, high = namespace_of(heat), tally.search.low, tally.search.high
    # Rows lie in columns here: the largest of each is then found along whole vectors.
    rows = heat.T @ like(bilinear_weights(heat.shape[0], size.height).T, heat)
    # Interpolated values stay below the peak, but for rounding.
    reaching = xp.nonzero(xp.max(rows, axis=0) >= low * (1 - 1e-6))[0]
    rows = xp.take(rows, reaching, axis=1)
    values = rows.T @ like(bilinear_weights(heat.shape[1], size.width).T, heat)
    # Many values are exactly zero, and no other is so frequent: zeros are counted, never kept.
    reached = values[values >= low] if low > 0 else values[values > 0]
    rest = size.cells - reached.shape[0]
    if low > 0:
        tally.below += rest
    else:
        tally.at_low += rest
    tally.keep(reached[reached <= high])


def _order_statistics(tally: Counted) -> tuple[dict[int, float], list[Search]] | None:
    """The values of the ranks sought, and narrower searches for those not known yet; None outside the bracket."""
    search, before = tally.search, tally.below + tally.at_low
    if tally.histogram is not None:
        tally.count()
    many = tally.held if tally.histogram is None else int(tally.histogram.counts.sum())
    if min(search.ranks) < tally.below or max(search.ranks) >= before + many:
        return None
    found = {rank: search.low for rank in search.ranks if rank < before}
    inside = [rank for rank in search.ranks if rank >= before]
    if tally.histogram is not None:
        values, narrower = _narrowed(search, tally.histogram, inside, before)
        return found | values, narrower
    if inside:
        xp = namespace_of(tally.inside[0])
        ordered = xp.sort(xp.concat(tally.inside))
        found |= {rank: float(ordered[rank - before]) for rank in inside}
    return found, []


def _narrowed(
    search: Search, histogram: Histogram, ranks: Sequence[int], before: int
) -> tuple[dict[int, float], list[Search]]:
    """Values where a bin has one number, else searches in the bins, one for each."""
    bins = {rank: histogram.bin_of(rank - before) for rank in ranks}
    if histogram.single:
        return {rank: float(histogram.edges[index]) for rank, index in bins.items()}, []
    return {}, [
        Search(search.concept, tuple(r for r in ranks if bins[r] == index), *histogram.bracket_of(index))
        for index in sorted(set(bins.values()))
    ]
