"""Passes over all rows: the driver that hands blocks to the pure functions, with or without threads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from operator import add

import numpy as np

from dff_onnx.arrays import Array, is_cupy, namespace_of, to_numpy
from dff_onnx.arrays.helpers import at_least_single, contiguous, empty_rows, like, row_norms_squared
from dff_onnx.arrays.kernels import can_fuse, fused_pass
from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.errors import ArrayError
from dff_onnx.factorization.blocks import Concepts, Sums, block_step
from dff_onnx.factorization.distributed import DistributedRows, Part, added
from dff_onnx.factorization.rows import BLOCK, Rows
from dff_onnx.factorization.survey import Survey
from dff_onnx.threads import available_cores, in_order

# From nothing, twice as many bring coefficients to within 1e-7 of their optimum at k = 5, 1e-5 at k = 20.
SWEEPS = 4
FORGET = 64  # blocks, after which mapped coefficients may leave memory


def workers_for(rows: Rows | DistributedRows, threads: int | None) -> int:
    """Threads worth having, 0 where the caller's is the only one: a small matrix, or one that NumPy does not hold.

    Args:
        rows: of `A`.
        threads: wanted; None for the cores there are.
    """
    array, wanted = rows.array, threads or available_cores()
    if isinstance(rows, DistributedRows) or wanted == 1 or (array is not None and not isinstance(array, np.ndarray)):
        return 0
    many = wanted if array is None else min(wanted, array.shape[0] // (4 * BLOCK))
    return many if many > 1 else 0


def coefficients(found: Survey, k: int) -> Array:
    """Room for `H`, as `(k, N)` beside the sample or where it was asked for; nothing in it yet.

    Rows that lie elsewhere have theirs: `(k, 0)`.
    """
    if isinstance(found.rows, DistributedRows):
        return empty_rows((k, 0), found.sample)
    shape = k, found.shape[0]
    return empty_rows(shape, found.sample) if found.room is None else found.room(shape)


def improve(
    rows: Rows | DistributedRows, W: Array, Ht: Array, workers: int = 0, *, cold: bool = False, sweeps: int = SWEEPS
) -> Sums:
    """One pass: the best coefficients for `W`, in place, and the sums that `W` needs next.

    Args:
        rows: of `A`.
        W: `(k, c)` float64.
        Ht: `(k, N)`, overwritten; rows that lie elsewhere overwrite theirs.
        workers: threads; the sums are added in the order of the blocks whoever makes them.
        cold: whether `Ht` holds nothing to start from yet, which takes twice the sweeps.
        sweeps: of coordinate descent.

    Raises:
        ArrayError: when blocks that are made anew have other rows than when they were first read.
    """
    if isinstance(rows, DistributedRows):
        work = partial(part_improved, W=to_numpy(W), cold=cold, sweeps=sweeps)
        return reduce(add, rows.update(work, cold)).mapped(lambda values: like(np.asarray(values), W))
    concepts = Concepts.of(W, Ht.dtype)
    sweeps = 2 * sweeps if cold else sweeps
    if is_cupy(Ht) and rows.scale == 1.0:
        return _fused(rows, concepts, Ht, sweeps, cold)

    def step(item: tuple[slice, Array]) -> Sums:
        place, A_b = item
        Ht_b, sums = block_step(A_b, concepts, None if cold else Ht[:, place], sweeps)
        Ht[:, place] = Ht_b
        return sums

    sums: Sums = added(in_order(_to_the_end(rows, Ht), step, workers), rows.blocks)
    return sums


def part_improved(part: Part, W: Array, cold: bool, sweeps: int) -> tuple[Array, Sums]:
    """`improve` of a part: its new coefficients, and its sums on the host."""
    A, warm = part.rows.source, None if cold else part.Ht
    Ht = (
        empty_rows((W.shape[0], part.size), at_least_single(A[:1, :]))
        if warm is None
        else namespace_of(A).asarray(warm, copy=True)
    )
    sums = improve(part.rows, like(W, A, namespace_of(A).float64), Ht, cold=warm is None, sweeps=sweeps)
    return Ht, sums.mapped(to_numpy)


def _to_the_end(rows: Rows, Ht: Array) -> Iterator[tuple[slice, Array]]:
    """The blocks, which must have as many rows as when they were first read; `Ht` is used along with them."""
    stop, expected = 0, Ht.shape[1]
    for number, (place, A_b) in enumerate(rows):
        stop = place.stop
        if stop <= expected:
            yield place, A_b
        if number % FORGET == FORGET - 1:
            forget_pages(Ht)
    if stop != expected:
        raise ArrayError(f"A: its blocks had {expected} rows when they were first read, and {stop} now")


def _fused(rows: Rows, concepts: Concepts, Ht: Array, sweeps: int, cold: bool) -> Sums:
    """The pass on a GPU: one launch for many blocks, where the kernel takes them."""
    k, total = Ht.shape[0], list[Sums]()
    for place, A_p, starts in rows.stretches():
        Ht_p = contiguous(Ht[:, place])
        if can_fuse(A_p, k) and Ht.dtype == namespace_of(Ht).float32:
            HtA, HtH, scalars = fused_pass(A_p, concepts.W, concepts.gram, starts, Ht_p, sweeps, cold)
            sums = Sums(HtA, HtH, scalars[0], scalars[1], scalars[2])
        else:
            Ht_p, sums = block_step(Rows(A_p).whole(), concepts, None if cold else Ht_p, sweeps)
        Ht[:, place] = Ht_p
        total.append(sums)
    return reduce(add, total)


def quality(rows: Rows | DistributedRows, Ht: Array, W: Array, workers: int = 0) -> float:
    """The distance of any factors from optimality, `Sums.kkt`, by one pass that changes nothing."""
    W = namespace_of(W).astype(W, namespace_of(W).float64)
    return improve(rows, W, Ht, workers, sweeps=0).kkt(W)


def residual(rows: Rows | DistributedRows, Ht: Array, W: Array) -> float:
    """`||A-HW||^2` row by row: exact also where the residual is tiny beside `A`."""
    if isinstance(rows, DistributedRows):
        return float(reduce(add, rows.each(partial(part_residual, W=to_numpy(W)))))

    def missed(item: tuple[slice, Array]) -> float:
        place, A_b = item
        xp = namespace_of(A_b)
        left = row_norms_squared(A_b - Ht[:, place].T @ xp.astype(W, A_b.dtype))
        return float(xp.sum(left, dtype=xp.float64))

    return float(added(map(missed, _to_the_end(rows, Ht)), rows.blocks))


def part_residual(part: Part, W: Array) -> float:
    """`residual` of a part."""
    return residual(part.rows, part.Ht, like(W, part.rows.source))
