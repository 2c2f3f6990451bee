"""The most similar vectors of a database of any size, exactly, block by block.

A score is the dot product of two vectors of float16 or float32, summed in float64 in a fixed order and rounded to
float32 (`products`). Vectors are ranked by falling score; equal scores, by their index. So the answer depends on the
vectors alone: not on how they are cut into blocks, which queries are asked together, or the number of threads.

A matrix product in float32 finds the few vectors that can be among the best, with room for all its rounding; only
their scores are computed exactly. On the host as many parts are looked at side by side as there are cores. (CuPy must
not be told to use TF32, whose products are rougher than that.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.helpers import blocks_at_once, count, like, row_blocks
from dff_onnx.arrays.order import kth_largest, order_by
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.products import Rows, exact_products, lowered, slack
from dff_onnx.threads import available_cores, in_order

VECTORS = 8192  # compared at a time: 16 MiB of 512 channels
QUERIES = 1024  # asked at a time
CROWD = 4  # candidates a place; when there are more, they are thinned out first


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The best of a database for some queries.

    Attributes:
        scores: `(m, k)` float32, falling.
        indices: `(m, k)` int64, of the vectors in their database; rising where scores are equal.
    """

    scores: Array
    indices: Array


def rank(queries: Array, blocks: Array | Iterable[Array], k: int) -> Ranking:
    """The k vectors of the largest dot product with each query.

    Args:
        queries: `(m, c)` float16 or float32; float64 is rounded to float32 first, here and in blocks.
        blocks: a database `(n, c)`, or its blocks of rows in order, of any sizes; blocks on the host are moved beside
            the queries.
        k: how many; all where there are fewer.

    Returns:
        arrays beside the queries.

    Raises:
        ArrayError: for shapes that do not belong together, or values that are not finite.
        UsageError: for a k below 1.

    >>> found = rank(np.eye(2, dtype=np.float32), np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32), 2)
    >>> found.indices.tolist(), found.scores.tolist()
    ([[1, 0], [0, 2]], [[1.0, 0.0], [1.0, 1.0]])
    """
    _check(queries, k)
    asked = [Rows.of(queries[block, :], "queries") for block in row_blocks(queries.shape[0], QUERIES)]
    best = [_nothing(part.values, k) for part in asked]
    seen = 0

    def look(part: _Part) -> tuple[_Part, list[_Entries]]:
        # What is kept by now may be less than what will be: too much is found then, never too little.
        vectors, products = Rows.multiplied(part.vectors, asked, f"vectors from {part.start} on")
        every = zip(best, asked, products, strict=True)
        return part, [_entries(kept, some, vectors, rough) for kept, some, rough in every]

    cut: Iterable[Array] = [blocks] if hasattr(blocks, "ndim") else blocks
    with single_threaded_blas():
        for part, found in in_order(_parts(cut, queries), look, _workers(queries, blocks)):
            best = [_joined(kept, some, part.start) for kept, some in zip(best, found, strict=True)]
            seen = part.start + part.vectors.shape[0]
    return _first(_stacked(best), min(k, seen))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Vectors that are looked at together, the first of which has the index `start`."""

    start: int
    vectors: Array


def _parts(blocks: Iterable[Array], queries: Array) -> Iterator[_Part]:
    seen = 0
    for block in blocks:
        _check_block(block, queries.shape[1])
        for part in row_blocks(block.shape[0], VECTORS * blocks_at_once(queries)):
            yield _Part(seen + part.start, _beside(block[part, :], queries))
        seen += block.shape[0]


def _workers(queries: Array, blocks: Any) -> int:
    """Threads that look at parts side by side: on the host, where there is more than one part."""
    few = hasattr(blocks, "ndim") and blocks.shape[0] <= VECTORS
    return 0 if few or not isinstance(queries, np.ndarray) else available_cores()


def merge(rankings: Sequence[Ranking], k: int) -> Ranking:
    """The best of several parts of one database, for the same queries.

    Args:
        rankings: of the parts, each with at least k places or all of its vectors; indices of the whole database.
        k: how many; all where there are fewer.

    Raises:
        ArrayError: for no ranking, or for different numbers of queries.
        UsageError: for a k below 1.

    >>> one = Ranking(np.array([[0.5]], np.float32), np.array([[7]]))
    >>> two = Ranking(np.array([[0.9, 0.5]], np.float32), np.array([[9, 3]]))
    >>> merge([one, two], 2).indices.tolist()
    [[9, 3]]
    """
    if k < 1:
        raise UsageError(f"k: at least one is needed, found {k}")
    if len({part.scores.shape[0] for part in rankings}) != 1:
        raise ArrayError(f"rankings of the same queries are needed, found {[part.scores.shape for part in rankings]}")
    xp = namespace_of(rankings[0].scores)
    scores = xp.concat([part.scores for part in rankings], axis=1)
    indices = xp.concat([part.indices for part in rankings], axis=1)
    queries, places = scores.shape
    owners = like(np.repeat(np.arange(queries), places), indices)
    flat = (xp.reshape(scores, (-1,)), xp.reshape(indices, (-1,)))
    return first_places(owners, *flat, queries, min(k, places))


_Entries = tuple[Array, Array, Array]  # whose, which vector of a part, and its score


def _entries(kept: Ranking, queries: Rows, vectors: Rows, rough: Array) -> _Entries:
    """Vectors that may be among the best, given some that are kept."""
    xp = namespace_of(rough)
    owners, columns = xp.nonzero(_candidates(kept, rough, slack(queries, vectors)))
    if not owners.shape[0]:
        return owners, columns, kept.scores[0, :0]
    return owners, columns, exact_products(queries.values, vectors.values, owners, columns)


def _joined(kept: Ranking, found: _Entries, start: int) -> Ranking:
    """The best of those kept and of some more."""
    owners, columns, scores = found
    if not owners.shape[0]:
        return kept
    xp = namespace_of(kept.scores)
    m, k = kept.scores.shape
    holders = like(np.repeat(np.arange(m), k), kept.indices)
    return first_places(
        xp.concat([holders, owners]),
        xp.concat([xp.reshape(kept.scores, (-1,)), scores]),
        xp.concat([xp.reshape(kept.indices, (-1,)), columns + start]),
        m,
        k,
    )


def _candidates(kept: Ranking, rough: Array, off: Array) -> Array:
    """Which vectors may be among the best, `(m, n)` bool: those that rounding cannot have kept out."""
    m, k = kept.scores.shape
    chosen = rough >= lowered(kept.scores[:, -1], off)[:, None]
    if rough.shape[1] > k and count(chosen) > CROWD * m * k:
        chosen &= rough >= lowered(kth_largest(rough, k), 2 * off)[:, None]
    return chosen


def first_places(owners: Array, scores: Array, indices: Array, queries: int, k: int) -> Ranking:
    """The first k of every query's entries, of which each has at least k."""
    xp = namespace_of(scores)
    order = order_by(owners, -scores, indices)
    owners = xp.take(owners, order)
    first = xp.searchsorted(owners, like(np.arange(queries), owners))
    place = like(np.arange(order.shape[0]), owners) - xp.take(first, owners)
    order = order[place < k]
    return Ranking(*(xp.reshape(xp.take(values, order), (queries, k)) for values in (scores, indices)))


def _nothing(queries: Array, k: int) -> Ranking:
    """Places that any vector takes."""
    shape = (queries.shape[0], k)
    indices = like(np.full(shape, np.iinfo(np.int64).max), queries, namespace_of(queries).int64)
    return Ranking(like(np.full(shape, -math.inf, np.float32), queries), indices)


def _stacked(parts: Sequence[Ranking]) -> Ranking:
    xp = namespace_of(parts[0].scores)
    return Ranking(xp.concat([p.scores for p in parts], axis=0), xp.concat([p.indices for p in parts], axis=0))


def _first(ranking: Ranking, k: int) -> Ranking:
    return Ranking(ranking.scores[:, :k], ranking.indices[:, :k])


def _beside(block: Array, queries: Array) -> Array:
    """Vectors in their own type, moved to the library of the queries when they lie on the host."""
    if isinstance(block, np.ndarray) and not isinstance(queries, np.ndarray):
        return like(block, queries, namespace_of(queries).float32)
    return block


def _check(queries: Array, k: int) -> None:
    if k < 1:
        raise UsageError(f"k: at least one is needed, found {k}")
    if queries.ndim != 2 or 0 in queries.shape:
        raise ArrayError(f"queries (m, c) are needed, neither of them 0; found {tuple(queries.shape)}")


def _check_block(block: Array, channels: int) -> None:
    if block.ndim != 2 or block.shape[1] != channels:
        raise ArrayError(f"queries have {channels} channels, and a block of vectors is {tuple(block.shape)}")
