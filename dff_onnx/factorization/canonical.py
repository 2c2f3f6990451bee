"""A factorization is free in scale and order; the canonical form fixes both, so that runs can be compared."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial

import numpy as np

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like, row_blocks, zeros_like_with
from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.factorization.distributed import DistributedRows, Part
from dff_onnx.factorization.passes import quality, residual
from dff_onnx.factorization.result import Factorization, Solution
from dff_onnx.factorization.rows import Rows
from dff_onnx.factorization.survey import Survey

SMALL = 0.05
COLUMNS = 65_536  # of Ht at a time


def canonical(found: Survey, solution: Solution, solver: str) -> Factorization:
    """Concepts of unit length ordered by energy (ties: by their first peak), with the exact loss.

    Args:
        found: the survey of `A`.
        solution: the solver's factors; its `Ht` is scaled and ordered in place.
        solver: its name.
    """
    xp = namespace_of(found.sample)
    W, Ht = xp.astype(solution.W, xp.float64), solution.Ht
    lengths = xp.sqrt(xp.sum(W * W, axis=1))
    W = W / xp.where(lengths > 0, lengths, xp.ones_like(lengths))[:, None]
    squares = _energies(Ht) if solution.squares is None else solution.squares
    energy, first = [float(value) for value in squares * lengths**2], _first_peaks(found.rows, Ht)
    # Six digits: beyond them equal energies differ by rounding alone.
    order = sorted(range(len(energy)), key=lambda j: (-float(f"{energy[j]:.6g}"), first[j]))
    if isinstance(found.rows, DistributedRows):
        consume(found.rows.update(partial(part_ordered, lengths=to_numpy(lengths), order=order)))
    else:
        _order(Ht, lengths, order)
    W = xp.astype(xp.take(W, like(np.asarray(order), W, xp.int64), axis=0), Ht.dtype)
    # Known from sums, it is a difference of large figures: good enough unless it is itself small.
    known = solution.rest is not None and solution.rest > SMALL * found.norm
    rest = solution.rest if known and solution.rest is not None else residual(found.rows, Ht, W)
    return Factorization(
        H=Ht.T,
        W=W,
        loss=rest / found.norm if found.norm > 0 else 0.0,
        reconstruction_err=rest**0.5,
        energy=tuple(energy[j] for j in order),
        n_iter=solution.n_iter,
        converged=solution.converged,
        stopped=solution.stopped,
        solver=solver,
        kkt=quality(found.rows, Ht, W) if solution.kkt is None else solution.kkt,
        start=solution.start,
        history=solution.history,
        start_losses=solution.start_losses,
    )


def _energies(Ht: Array) -> Array:
    """`||H_j||^2`, `(k,)` float64, without a temporary of the size of `Ht`."""
    xp = namespace_of(Ht)
    squares = zeros_like_with((Ht.shape[0],), Ht, xp.float64)
    for block in row_blocks(Ht.shape[1], COLUMNS):
        squares += xp.sum(Ht[:, block] * Ht[:, block], axis=1, dtype=xp.float64)
        forget_pages(Ht)
    return squares


def _first_peaks(rows: Rows | DistributedRows, Ht: Array) -> list[int]:
    """The row where each concept is largest, the first where several are."""
    if not isinstance(rows, DistributedRows):
        return [_first_peak(Ht, j) for j in range(Ht.shape[0])]
    peaks = list(rows.each(part_peaks))
    return [max((part[j] for part in peaks), key=lambda peak: (peak[0], -peak[1]))[1] for j in range(Ht.shape[0])]


def _first_peak(Ht: Array, j: int) -> int:
    place = int(namespace_of(Ht).argmax(Ht[j, :]))
    forget_pages(Ht)
    return place


def part_peaks(part: Part) -> list[tuple[float, int]]:
    """Each concept's largest coefficient in a part, and the first row that has it."""
    Ht = part.Ht
    where = [_first_peak(Ht, j) for j in range(Ht.shape[0])]
    return [(float(Ht[j, row]), part.row + row) for j, row in enumerate(where)]


def part_ordered(part: Part, lengths: Array, order: list[int]) -> tuple[Array, None]:
    """A part's coefficients in scale and order."""
    Ht = namespace_of(part.Ht).asarray(part.Ht, copy=True)
    _order(Ht, like(lengths, Ht, namespace_of(Ht).float64), order)
    return Ht, None


def part_times(part: Part, factor: float) -> tuple[Array, None]:
    """A part's coefficients times a power of two."""
    return part.Ht * factor, None


def consume(done: Iterable[None]) -> None:
    """Waits for work that leaves nothing but new coefficients."""
    deque(done, maxlen=0)


def _order(Ht: Array, lengths: Array, order: list[int]) -> None:
    """Brings `Ht` to the scale and the order of the concepts, in place."""
    xp = namespace_of(Ht)
    scale, index = xp.astype(lengths, Ht.dtype)[:, None], like(np.asarray(order), Ht, xp.int64)
    for block in row_blocks(Ht.shape[1], COLUMNS):
        Ht[:, block] = xp.take(Ht[:, block] * scale, index, axis=0)
        forget_pages(Ht)
