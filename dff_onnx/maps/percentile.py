"""A concept's threshold: a percentile of its heat maps over the whole set (DFF, section 4.3).

It is taken over the maps at the network's input size, so that every image has the same weight. Those are a quarter of
a million values for each image, wanted for nothing but one order statistic, so they are never kept: a sample brackets
the value, one pass counts what lies below the bracket and keeps what lies inside; the answer is exact, or the bracket
was wrong and is widened.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like
from dff_onnx.maps.heat import heat_map, offsets
from dff_onnx.maps.upsample import bilinear_weights
from dff_onnx.records import Grid

# The bracket's half-width, as a share of the values: it is narrow where the sample is large.
MARGIN = 0.004
LATTICE = 8  # sampled rows and columns of each map


@dataclass(frozen=True, slots=True)
class _Bracket:
    """An order statistic is sought in `[low, high]`."""

    low: float
    high: float


@dataclass(slots=True)
class _Tally:
    """What one pass found of one concept."""

    below: int
    at_low: int
    inside: list[Array]


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
    position = (total - 1) * percent / 100
    rank, fraction = math.floor(position), position - math.floor(position)
    sample = _sample(H, grids, sizes)
    open_concepts = dict.fromkeys(range(H.shape[1]), MARGIN + 2 / math.sqrt(sample.shape[0]))
    found = np.zeros(H.shape[1], np.float32)
    while open_concepts:
        brackets = {j: _bracket(sample[:, j], percent / 100, margin) for j, margin in open_concepts.items()}
        for j, tally in _pass(H, grids, sizes, brackets).items():
            pair = _order_statistics(tally, brackets[j], rank, min(rank + 1, total - 1))
            if pair is None:
                open_concepts[j] *= 8
            else:
                found[j] = pair[0] + (pair[1] - pair[0]) * fraction
                del open_concepts[j]
    return found


def _sample(H: Array, grids: Sequence[Grid], sizes: Sequence[Grid]) -> Array:
    """Values on a lattice of every upsampled map, `(values, k)`, each concept's sorted."""
    xp = namespace_of(H)
    parts = []
    for start, grid, size in zip(offsets(grids), grids, sizes, strict=False):
        rows, columns = (
            like(bilinear_weights(source, target)[_lattice(target)], H)
            for source, target in ((grid.height, size.height), (grid.width, size.width))
        )
        values = xp.matmul(xp.matmul(rows, heat_map(H, start, grid)), columns.T)
        parts.append(xp.reshape(values, (H.shape[1], -1)).T)
    return xp.sort(xp.concat(parts), axis=0)


def _lattice(size: int) -> NDArray[np.int64]:
    return np.unique(((np.arange(LATTICE) + 0.5) * size / LATTICE).astype(np.int64))


def _bracket(ordered: Array, share: float, margin: float) -> _Bracket:
    last = ordered.shape[0] - 1
    low, high = math.floor((share - margin) * last), math.ceil((share + margin) * last)
    return _Bracket(
        float(ordered[low]) if low >= 0 else 0.0,  # heat maps hold nothing below zero
        float(ordered[high]) if high <= last else math.inf,
    )


def _pass(H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], brackets: dict[int, _Bracket]) -> dict[int, _Tally]:
    tallies = {j: _Tally(0, 0, []) for j in brackets}
    for start, grid, size in zip(offsets(grids), grids, sizes, strict=False):
        heat = heat_map(H, start, grid)
        for j, bracket in brackets.items():
            _count(heat[j, :, :], size, bracket, tallies[j])
    return tallies


def _count(heat: Array, size: Grid, bracket: _Bracket, tally: _Tally) -> None:
    """One map's share of the tally. Rows that stay below the bracket are counted without being widened."""
    xp = namespace_of(heat)
    # Rows lie in columns here: the largest of each is then found along whole vectors.
    rows = heat.T @ like(bilinear_weights(heat.shape[0], size.height).T, heat)
    # Interpolated values stay below the peak, but for rounding.
    reaching = xp.nonzero(xp.max(rows, axis=0) >= bracket.low * (1 - 1e-6))[0]
    rows = xp.take(rows, reaching, axis=1)
    values = rows.T @ like(bilinear_weights(heat.shape[1], size.width).T, heat)
    # Many values are exactly zero, and no other is so frequent: zeros are counted, never kept.
    reached = values[values >= bracket.low] if bracket.low > 0 else values[values > 0]
    rest = size.cells - reached.shape[0]
    if bracket.low > 0:
        tally.below += rest
    else:
        tally.at_low += rest
    tally.inside.append(reached[reached <= bracket.high])


def _order_statistics(tally: _Tally, bracket: _Bracket, *ranks: int) -> list[float] | None:
    """The values of these ranks, or None where one lies outside the bracket."""
    before = tally.below + tally.at_low
    many = sum(part.shape[0] for part in tally.inside)
    if min(ranks) < tally.below or max(ranks) >= before + many:
        return None
    if max(ranks) < before:
        return [bracket.low for _ in ranks]
    xp = namespace_of(*tally.inside)
    ordered = xp.sort(xp.concat(tally.inside))
    return [bracket.low if rank < before else float(ordered[rank - before]) for rank in ranks]
