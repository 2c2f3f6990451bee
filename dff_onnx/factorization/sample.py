"""A sample of rows drawn by squared norm, in one reading: the coreset.

Rows that carry the loss are drawn (Frieze, Kannan & Vempala 2004), each rescaled so that the sample's loss is an
unbiased estimate of the whole. The draw is priority sampling (Duffield, Lund & Thorup 2007): a row's priority is its
squared norm over a uniform number, and the rows of highest priority stay. Samples of parts merge into the sample of
the whole, so that blocks may come from anywhere and nothing need be read twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double, like

MOST_BYTES = 24 * 2**20
MOST_ROWS = 8192


def sample_size(channels: int, itemsize: int, k: int) -> int:
    """Rows of a sample: 8192, or what 24 MiB hold, but 1024 at least, and 50 for each concept."""
    return max(1024, 50 * k, min(MOST_ROWS, MOST_BYTES // (channels * itemsize)))


def priorities(norms: Array, seed: int, block: int) -> Array:
    """The priorities `(rows,)` of a block's rows, float64; they depend on the seed and the block's number alone.

    Args:
        norms: `(rows,)` squared norms.
        seed: of the draw.
        block: number of the block.
    """
    xp = namespace_of(norms)
    uniform = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block])).random(norms.shape[0])
    return double(norms) / like(1.0 - uniform, norms, xp.float64)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Rows of one block that may stay."""

    priorities: Array
    norms: Array
    rows: Array

    def where(self, wanted: Array) -> _Kept:
        """Copies of those that are wanted, a boolean for each."""
        xp = namespace_of(self.priorities)
        index = xp.nonzero(wanted)[0]
        return _Kept(xp.take(self.priorities, index), xp.take(self.norms, index), xp.take(self.rows, index, axis=0))


@dataclass(slots=True)
class Reservoir:
    """The rows of highest priority so far, and one more: its priority is the weight of all that weigh less.

    Attributes:
        size: rows wanted.
    """

    size: int
    _parts: list[_Kept] = field(default_factory=list)
    _held: int = 0
    _floor: float = -1.0  # rows of zeros stay, too, as long as all rows do

    def offer(self, priorities: Array, norms: Array, rows: Array) -> None:
        """Takes what may stay.

        Args:
            priorities, norms: `(rows,)`.
            rows: of the block, or anything else with an entry for each: indices, where the rows can be had later.
        """
        part = _Kept(priorities, norms, rows).where(priorities > self._floor)
        if part.norms.shape[0]:
            self._parts.append(part)
            self._held += int(part.norms.shape[0])
        if self._held > self.size + self.size // 2 + 1:
            self._prune()

    def join(self, other: Reservoir) -> None:
        """Takes what another kept of rows that follow."""
        for part in other._parts:
            self.offer(part.priorities, part.norms, part.rows)

    def ready(self, change: Callable[[Array], Array]) -> None:
        """Keeps no more than is needed to join another, its arrays changed: moved elsewhere, say."""
        self._prune()
        self._parts = [_Kept(*(change(getattr(part, name)) for name in part.__slots__)) for part in self._parts]

    def drawn(self) -> tuple[Array, Array]:
        """What was kept of `rows`, in the order it came, and the factor that each row is to be multiplied by.

        Every row of a set that is no larger than the sample stays, with factor 1.
        """
        self._prune()
        parts = self._parts
        if self._held > self.size:
            parts = [part.where(part.priorities > self._floor) for part in parts]
        xp = namespace_of(parts[0].norms)
        kept, norms = xp.concat([part.rows for part in parts]), double(xp.concat([part.norms for part in parts]))
        heavy, one = norms > self._floor, xp.ones_like(norms)
        return kept, xp.sqrt(xp.where(heavy, one, self._floor / xp.where(heavy, one, norms)))

    def _prune(self) -> None:
        if self._held <= self.size:
            return
        xp = namespace_of(self._parts[0].priorities)
        order = xp.sort(xp.concat([part.priorities for part in self._parts]))
        self._floor = float(order[-(self.size + 1)])
        # Part by part: rows of a stream are large, and no second copy of all of them is made.
        self._parts = [part.where(part.priorities >= self._floor) for part in self._parts]
        self._parts = [part for part in self._parts if part.norms.shape[0]]
        self._held = sum(int(part.norms.shape[0]) for part in self._parts)
