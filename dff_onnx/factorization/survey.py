"""The first reading of `A`: whether it can be factorized, how large it is, and a sample of its rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like, row_norms_squared
from dff_onnx.errors import ArrayError
from dff_onnx.factorization.distributed import DistributedRows, Part, added
from dff_onnx.factorization.rows import Rows
from dff_onnx.factorization.sample import Reservoir, priorities, sample_size
from dff_onnx.threads import in_order

Room = Callable[[tuple[int, int]], Array]

# Squares of float32 stay clear of overflow and underflow while the squared length of the longest row lies between
# these powers of two.
COMFORT = 40


@dataclass(frozen=True, slots=True)
class Survey:
    """What one reading tells.

    Attributes:
        rows: to be read again, wherever they lie, times a power of two where the values are extreme.
        shape: `(N, c)`.
        norm: `||A||^2` of `rows`, float64.
        sample: `(m, c)` weighted rows; all rows, as they are, of a small `A`.
        room: makes the array that coefficients are kept in, from its shape; None for one in memory.
    """

    rows: Rows | DistributedRows
    shape: tuple[int, int]
    norm: float
    sample: Array
    room: Room | None = None

    @property
    def whole(self) -> bool:
        """Whether the sample is all of `A`."""
        return bool(self.sample.shape[0] == self.shape[0])


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What one block tells.

    Attributes:
        rows: of the block, or their indices where they can be had again.
        norms, priorities: `(rows,)`.
        high, total: the largest squared norm, and their sum in float64.
    """

    rows: Array
    norms: Array
    priorities: Array
    high: float
    total: float


def checked_block(A_b: Array) -> tuple[Array, float]:
    """The squared norms `(rows,)` of a block's rows, and the largest: infinite where squares leave its precision.

    Raises:
        ArrayError: when a value is negative or not finite.
    """
    xp = namespace_of(A_b)
    norms = row_norms_squared(A_b)
    low, high = float(xp.min(A_b)), float(xp.max(norms))  # both carry a NaN along
    if not (low >= 0 and math.isfinite(high)):
        _refuse(low, float(xp.max(A_b)))
    return norms, high


def _refuse(low: float, high: float) -> None:
    """Says what is wrong with a block; its squares alone may be too large, which is not wrong."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArrayError("A: holds NaN or infinite values; find out where they come from before factorizing")
    if low < 0:
        raise ArrayError(
            f"A: the smallest value is {low:.6g}, and a non-negative factorization needs values >= 0; "
            "take activations after a ReLU, or clip them"
        )


def facts_of(A_b: Array, number: int, seed: int, first: int | None = None) -> BlockFacts:
    """Looks at one block.

    Args:
        A_b: `(rows, c)`.
        number: of the block in the sequence.
        seed: of the sample.
        first: the index of its first row, where rows can be had by index later; None keeps the rows themselves.

    Raises:
        ArrayError: when a value is negative or not finite.
    """
    xp = namespace_of(A_b)
    norms, high = checked_block(A_b)
    return BlockFacts(
        rows=A_b if first is None else like(np.arange(first, first + A_b.shape[0]), A_b, xp.int64),
        norms=norms,
        priorities=priorities(norms, seed, number),
        high=high,
        total=float(xp.sum(norms, dtype=xp.float64)),
    )


@dataclass(slots=True)
class Tally:
    """Blocks added up in their order.

    Attributes:
        k: rank that the sample is to serve.
        count: rows.
        norm: the sum of their squared norms.
        high: the largest.
        kind: channels and dtype of the first block, which all others must have.
    """

    k: int
    count: int = 0
    norm: float = 0.0
    high: float = 0.0
    kind: tuple[int, Any] | None = None
    _reservoir: Reservoir | None = None

    def add(self, A_b: Array, facts: BlockFacts) -> None:
        """One more block.

        Raises:
            ArrayError: when it is of another kind than the first.
        """
        kind = (int(A_b.shape[1]), A_b.dtype)
        if self._reservoir is None:
            itemsize = 8 if A_b.dtype == namespace_of(A_b).float64 else 4
            self.kind, self._reservoir = kind, Reservoir(sample_size(kind[0], itemsize, self.k))
        if kind != self.kind:
            raise ArrayError(f"A: a block of {_words(kind)} follows blocks of {_words(self.kind)}")
        self.count += A_b.shape[0]
        self.norm += facts.total
        self.high = max(self.high, facts.high)
        self._reservoir.offer(facts.priorities, facts.norms, facts.rows)

    def join(self, other: Tally) -> None:
        """The tally of the part that follows.

        Raises:
            ArrayError: when its blocks are of another kind.
        """
        if self._reservoir is None or other._reservoir is None:
            self._reservoir, self.kind = self._reservoir or other._reservoir, self.kind or other.kind
        elif other.kind != self.kind:
            raise ArrayError(f"A: a block of {_words(other.kind)} follows blocks of {_words(self.kind)}")
        else:
            self._reservoir.join(other._reservoir)
        self.norm = self.norm + other.norm if self.count else other.norm
        self.count, self.high = self.count + other.count, max(self.high, other.high)

    def sent(self) -> Tally:
        """The tally on the host, with no more than another needs to be joined with it."""
        if self._reservoir is not None:
            self._reservoir.ready(to_numpy)
        return self

    def sample(self, rows: Rows | DistributedRows | None = None) -> Array:
        """The weighted rows drawn so far, `(m, c)`; all rows as they are, while they are few.

        Args:
            rows: where they are to be had, when indices were kept.
        """
        if self._reservoir is None:
            raise ArrayError("A: no row came yet")
        kept, factors = self._reservoir.drawn()
        if isinstance(rows, DistributedRows):
            S = np.concatenate(list(rows.each(partial(part_taken, index=kept))))
        elif kept.shape[0] == self.count:
            return kept if rows is None else rows.whole()
        else:
            S = kept if rows is None else rows.taken(kept)
        return S * namespace_of(S).astype(factors, S.dtype)[:, None]


def _words(kind: tuple[int, Any] | None) -> str:
    return "nothing" if kind is None else f"{kind[0]} channels of {kind[1]}"


def survey(rows: Rows | DistributedRows, k: int, seed: int, workers: int = 0) -> Survey:
    """Reads all rows once; two times more, where their values are so extreme that squares leave float32.

    Args:
        rows: of `A`.
        k: rank that the sample is to serve.
        seed: of the sample.
        workers: threads.

    Raises:
        ArrayError: when a value is negative or not finite, or blocks do not fit each other.
    """
    tally = _tallied(rows, k, seed, workers)
    if not 2.0**-COMFORT < tally.high < 2.0**COMFORT:
        largest = _largest(rows)
        if largest > 0:
            rows = rows.scaled(comfortable(largest))
            tally = _tallied(rows, k, seed, workers)
    sample = tally.sample(rows if isinstance(rows, DistributedRows) or rows.array is not None else None)
    return Survey(rows, (tally.count, int(sample.shape[1])), tally.norm, sample)


def comfortable(largest: float) -> float:
    """A power of two that brings values up to `largest` near 1: multiplying by it is exact."""
    return math.ldexp(1.0, -max(min(math.frexp(largest)[1], 126), -126))


def _largest(rows: Rows | DistributedRows) -> float:
    if isinstance(rows, DistributedRows):
        return max(rows.each(part_largest))
    return max(float(namespace_of(A_b).max(A_b)) for _, A_b in rows)


def part_largest(part: Part) -> float:
    """The largest value of a part."""
    return _largest(part.rows)


def part_taken(part: Part, index: Array) -> Array:
    """The rows of a part that have these indices in the whole, ascending, on the host."""
    first, last = np.searchsorted(index, [part.row, part.row + part.size])
    here = like(index[first:last] - part.row, part.rows.source, namespace_of(part.rows.source).int64)
    return to_numpy(part.rows.taken(here))


def _tallied(rows: Rows | DistributedRows, k: int, seed: int, workers: int) -> Tally:
    if isinstance(rows, DistributedRows):
        tally = Tally(k)
        for one in rows.each(partial(part_tally, k=k, seed=seed)):
            tally.join(one)
    else:
        tally = _tally_of(rows, k, seed, workers)
    if not tally.count:
        raise ArrayError("A: no block came; at least one row is needed")
    return tally


def part_tally(part: Part, k: int, seed: int) -> Tally:
    """The tally of a part, on the host; its rows are known by their indices in the whole."""
    return _tally_of(part.rows, k, seed, 0, part.block, part.row).sent()


def _tally_of(rows: Rows, k: int, seed: int, workers: int, block: int = 0, row: int = 0) -> Tally:
    """Of rows whose first block and row have these numbers."""
    tally, by_index, totals = Tally(k), rows.array is not None, list[float]()

    def look(item: tuple[int, tuple[slice, Array]]) -> tuple[Array, BlockFacts]:
        number, (place, A_b) = item
        return A_b, facts_of(A_b, number, seed, row + place.start if by_index else None)

    for A_b, facts in in_order(enumerate(rows, block), look, workers):
        tally.add(A_b, facts)
        totals.append(facts.total)
    tally.norm = added(totals, rows.blocks) if totals else 0.0
    return tally
