"""Rows that lie elsewhere: in other processes, on other machines. The solvers know them by this protocol alone.

`A` is cut into parts, and a part's rows, blocks and coefficients stay where they are. What travels is a function to
work on a part, with `W (k, c)`, and what it gives back: sums of `k x c` and `k x k`, figures, the few rows of the
sample. Sums of blocks are added up within their part first, then part after part, here as in `passes`, so that the
bits are those of rows in one array with the same blocks and parts, whoever works on a part, and how often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice, repeat
from operator import add
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from dff_onnx.arrays import Array
from dff_onnx.factorization.rows import Rows

BLOCKS = 64  # of a part, where nobody says it

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the rows, as a function sees it that works on it.

    Attributes:
        rows: an array's, with their blocks; blocks and rows count from 0 here.
        block, row: numbers of its first block and its first row in the whole.
        Ht: `(k, rows)` coefficients, not to be changed in place; None where there are none yet.
    """

    rows: Rows
    block: int
    row: int
    Ht: Array = None

    @property
    def size(self) -> int:
        """Rows of it."""
        return int(self.rows.source.shape[0])


@runtime_checkable
class DistributedRows(Protocol):
    """Parts of rows, each with room for its coefficients. What works on them is a function that can be sent there.

    Attributes:
        array: None: there is no one matrix.
        scale: a power of two that every block is multiplied by.
    """

    @property
    def array(self) -> None: ...

    @property
    def scale(self) -> float: ...

    def scaled(self, scale: float) -> Self:
        """The same rows times a power of two; coefficients are not."""
        ...

    def each(self, work: Callable[[Part], R]) -> Iterator[R]:
        """What `work` makes of every part, in their order."""
        ...

    def update(self, work: Callable[[Part], tuple[Array, R]], cold: bool = False) -> Iterator[R]:
        """The same for a function that gives new coefficients first, which take the place of those before.

        Args:
            work: on a part.
            cold: whether it needs no coefficients from before.
        """
        ...


def added(values: Iterable[Any], blocks: Sequence[int] | None = None) -> Any:
    """Sums of blocks added up part by part, then the parts.

    Args:
        values: one a block, in order; anything that can be added.
        blocks: of each part; 64 where nobody says it.

    >>> added(range(5), [2, 3])
    10
    """
    ahead = iter(values)
    sizes = repeat(BLOCKS) if blocks is None else iter(blocks)
    totals = (reduce(add, islice(ahead, size - 1), first) for size, first in zip(sizes, ahead, strict=False))
    return reduce(add, totals)
