"""The rows of `A`, block after block, wherever they come from: an array, a memory-mapped file, blocks made on the fly.

The cut into blocks is fixed, because the bits of a sum depend on it: an array is cut every 2048 rows, or where it is
told; blocks that come as such are cut every 2048 rows, too, when they are longer. Who reads them, and where they lie,
then changes nothing. (A GPU gets many blocks at once, or launching kernels would take longer than their work.)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import blocks_at_once, contiguous, row_blocks
from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.errors import ArrayError, UsageError

BLOCK = 2048
FORGET = 4  # blocks of a mapped file that stay in memory
TAKEN = 32  # single rows of one, each of which brings its neighbours along


@dataclass(frozen=True, slots=True)
class Rows:
    """Something that can be read block by block, any number of times.

    Attributes:
        source: a matrix `(N, c)`, or an iterable of matrices `(rows, c)`.
        cuts: how many rows each block of a matrix has; None cuts it every 2048 rows.
        scale: a power of two that every block is multiplied by.
        blocks: how many blocks make a part, whose sums are added up first; None takes 64.
    """

    source: Any
    cuts: tuple[int, ...] | None = None
    scale: float = 1.0
    blocks: tuple[int, ...] | None = None

    @property
    def array(self) -> Array | None:
        """The matrix, where the rows come from one."""
        return self.source if hasattr(self.source, "ndim") else None

    def __iter__(self) -> Iterator[tuple[slice, Array]]:
        """Places and blocks, in order; float16 comes as float32."""
        for place, block in self._uncut():
            for number, part in enumerate(_cuts(place, self.cuts, blocks_at_once(block))):
                yield part, self._prepared(block[part.start - place.start : part.stop - place.start, :])
                if number % FORGET == FORGET - 1:
                    forget_pages(block)

    def stretches(self) -> Iterator[tuple[slice, Array, list[int]]]:
        """Places and matrices as they were given, unscaled, in their own precision; and where their blocks begin."""
        for place, block in self._uncut():
            parts = list(_cuts(place, self.cuts, 1))
            yield place, block, [part.start - place.start for part in parts] + [place.stop - place.start]

    def _uncut(self) -> Iterator[tuple[slice, Array]]:
        start = 0
        for block in [self.source] if self.array is not None else self.source:
            block = as_matrix(block)
            yield slice(start, start + block.shape[0]), block
            start += block.shape[0]

    def _prepared(self, block: Array) -> Array:
        xp = namespace_of(block)
        if block.dtype not in (xp.float32, xp.float64):
            block = xp.astype(block, xp.float32)
        elif self.array is None:
            block = xp.asarray(block, copy=True)  # who makes blocks may fill the same memory again
        block = contiguous(block)
        return block if self.scale == 1.0 else block * self.scale

    def whole(self) -> Array:
        """All rows of an array at once."""
        return self._prepared(self.array)

    def taken(self, index: Array) -> Array:
        """The rows of an array at `index`, as its blocks have them."""
        source = self.array
        if not isinstance(source, np.memmap):
            return self._prepared(namespace_of(source).take(source, index, axis=0))
        found = np.empty((len(index), source.shape[1]), source.dtype)
        for part in row_blocks(len(index), TAKEN):
            found[part] = source[index[part]]
            forget_pages(source)
        return self._prepared(found)

    def scaled(self, scale: float) -> Rows:
        """The same rows times a power of two, which is exact."""
        return replace(self, scale=scale)


def rows_of(A: Any, cuts: Sequence[int] | None = None, blocks: Sequence[int] | None = None) -> Rows:
    """What was given as `A`, ready to be read.

    Args:
        A: a matrix of floats (NumPy, CuPy, a memory map, any array of the standard), something NumPy makes one of, or
            an iterable of such matrices that begins anew whenever it is asked: a list, an object with `__iter__`.
        cuts: rows of each block of a matrix; images, say, that must stay whole.
        blocks: of each part; see `Rows`.

    Raises:
        ArrayError: when `A` is no matrix of floats, or can be read only once.
        UsageError: when `cuts` do not fit.
    """
    if _is_stream(A):
        if cuts is not None:
            raise UsageError("cuts: an iterable of blocks is cut already; leave them out")
        if isinstance(A, Iterator):
            raise ArrayError(
                "A: an iterator can be read once, and a factorization reads its rows several times; give something "
                "that can be iterated again (a list of blocks, an object with __iter__), or use DFF.partial_fit"
            )
        return Rows(A)
    A = as_matrix(A)
    if cuts is not None and (any(rows < 1 for rows in cuts) or sum(cuts) != A.shape[0]):
        raise UsageError(f"cuts: positive numbers of rows with the sum {A.shape[0]} are needed, found {list(cuts)[:8]}")
    if blocks is not None and (cuts is None or any(many < 1 for many in blocks) or sum(blocks) != len(cuts)):
        raise UsageError(f"blocks: positive numbers with the sum of the cuts are needed, found {list(blocks)[:8]}")
    return Rows(A, None if cuts is None else tuple(cuts), blocks=None if blocks is None else tuple(blocks))


def _is_stream(A: Any) -> bool:
    """Whether `A` gives blocks: it is iterable, no array, and no list of numbers."""
    if hasattr(A, "ndim") or not isinstance(A, Iterable):
        return False
    return isinstance(A, Iterator) or not isinstance(A, list | tuple) or any(getattr(a, "ndim", 0) == 2 for a in A)


def as_matrix(A: Any) -> Array:
    """`A` as a matrix of floats.

    Raises:
        ArrayError: saying what was found instead.
    """
    if not (hasattr(A, "__array_namespace__") or isinstance(A, np.ndarray)):
        A = np.asarray(A)
        A = A.astype(np.float64) if A.dtype.kind in "iu" else A
    if A.ndim != 2 or 0 in A.shape:
        raise ArrayError(f"A: a matrix of rows and channels is needed, found the shape {tuple(A.shape)}")
    if not namespace_of(A).isdtype(A.dtype, "real floating"):
        raise ArrayError(f"A: floating-point values are needed, found {A.dtype}; convert it first")
    return A


def _cuts(place: slice, cuts: tuple[int, ...] | None, at_once: int) -> Iterator[slice]:
    """Where so many blocks at once begin and end."""
    if cuts is None:
        for part in row_blocks(place.stop - place.start, at_once * BLOCK):
            yield slice(place.start + part.start, place.start + part.stop)
        return
    ends = [0, *itertools.accumulate(cuts)]
    yield from (slice(a, b) for a, b in itertools.pairwise([*ends[:-1:at_once], ends[-1]]))


def whole_images(cells: Sequence[int]) -> list[int]:
    """Cuts that keep images whole: as many neighbours together as fit into 2048 rows; larger ones stand alone.

    Args:
        cells: rows of each image, in sorted order.

    >>> whole_images([1000, 1000, 1000, 5000])
    [2000, 1000, 2048, 2048, 904]
    """
    cuts: list[int] = []
    filled = BLOCK  # rows in the last cut, full where it takes no more
    for rows in cells:
        if rows > BLOCK:
            cuts += [part.stop - part.start for part in row_blocks(rows, BLOCK)]
            filled = BLOCK
        elif filled + rows <= BLOCK:
            cuts[-1] += rows
            filled += rows
        else:
            cuts.append(rows)
            filled = rows
    return cuts
