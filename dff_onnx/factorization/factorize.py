"""The front door of the solvers: checks, scale, solver, canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import UsageError
from dff_onnx.factorization.canonical import canonical, consume, part_times
from dff_onnx.factorization.checks import checked_rank
from dff_onnx.factorization.coreset import coreset
from dff_onnx.factorization.distributed import DistributedRows
from dff_onnx.factorization.hals import hals
from dff_onnx.factorization.mu import mu
from dff_onnx.factorization.options import STARTS, Options
from dff_onnx.factorization.passes import workers_for
from dff_onnx.factorization.rank1 import rank1
from dff_onnx.factorization.result import Factorization, Solution
from dff_onnx.factorization.rows import Rows, rows_of
from dff_onnx.factorization.survey import Room, Survey, survey

Solver = Literal["coreset", "hals", "mu"]
TOLERANCES: dict[Solver, float] = {"coreset": 2e-5, "hals": 2e-5, "mu": 1e-4}


def factorize(
    A: Any,
    k: int,
    *,
    solver: Solver = "coreset",
    seed: int = 0,
    max_iter: int = 200,
    tol: float | None = None,
    starts: int = STARTS,
    cuts: Sequence[int] | None = None,
    blocks: Sequence[int] | None = None,
    threads: int | None = None,
    room: Room | None = None,
) -> Factorization:
    """Deep Feature Factorization of an activation matrix: `A ~ H W`, all non-negative.

    Args:
        A: `(N, c)` activations, `>= 0`; NumPy, CuPy or another array of the standard, `np.memmap`, an iterable of
            blocks of rows that can be iterated again, or rows that lie elsewhere (`factorization.distributed`);
            float16/32/64. float16 is computed in float32.
        k: number of concepts, at most `min(N, c)`. One has a closed form, which `coreset` and `hals` use.
        solver: `coreset` reads all rows a few times, whatever their number; `hals` is the classical descent over all
            rows; `mu` the authors' multiplicative updates.
        seed: of sample and starts. The same seed and the same blocks of rows give the same bits.
        max_iter: passes over all rows at most; `coreset` may make one more to come back to the best of them.
        tol: see `coreset` (2e-5), `hals` (2e-5) and `mu` (1e-4) for what theirs mean.
        starts: how many starts are tried on the sample.
        cuts: rows of each block of an array; None cuts it every 2048 rows.
        blocks: how many of them make a part, whose sums are added up first; None takes 64.
        threads: that work on blocks; None takes the cores there are, where the matrix is large enough to gain.
        room: makes the array that the coefficients are kept in, from its shape `(k, N)`, float32: a mapped file, say.
            None keeps them in memory, and so does `mu`.

    Raises:
        ArrayError: when `A` is empty, negative, not finite or not a matrix of floats.
        UsageError: when an option cannot be.

    >>> import numpy as np
    >>> found = factorize(np.outer([1.0, 2.0, 0.0], [3.0, 0.0, 4.0]), 1)
    >>> [round(x, 6) for x in found.W[0].tolist()], round(found.loss, 6)
    ([0.6, 0.0, 0.8], 0.0)
    """
    if solver not in get_args(Solver):
        raise UsageError(f"solver: {solver!r} is not one of {', '.join(get_args(Solver))}")
    if max_iter < 1 or starts < 1 or (tol is not None and not tol >= 0) or (threads is not None and threads < 1):
        raise UsageError(
            f"max_iter ({max_iter}), starts ({starts}) and threads ({threads}) must be at least 1, "
            f"tol ({tol}) at least 0"
        )
    rows = A if isinstance(A, DistributedRows) else rows_of(A, cuts, blocks)
    if solver == "mu" and rows.array is None:
        raise UsageError("solver: mu needs A in one array, found an iterable of blocks; take coreset or hals")
    k = checked_rank(k, rows.array.shape if rows.array is not None else None)
    workers = workers_for(rows, threads)
    with single_threaded_blas():
        found = replace(survey(rows, k, seed, workers), room=room)
        checked_rank(k, found.shape)
        options = Options(max_iter, TOLERANCES[solver] if tol is None else tol, starts, workers)
        solution = _solved(found, k, solver, np.random.default_rng(seed), options)
        name = "rank1" if solver != "mu" and k == 1 else solver
        return _unscaled(canonical(found, solution, name), found.rows)


def _unscaled(found: Factorization, rows: Rows | DistributedRows) -> Factorization:
    """The factorization of the rows as they were given."""
    if isinstance(rows, DistributedRows) and rows.scale != 1.0:
        consume(rows.update(partial(part_times, factor=1.0 / rows.scale)))
    return found.rescaled(1.0 / rows.scale)


def _solved(found: Survey, k: int, solver: Solver, rng: np.random.Generator, options: Options) -> Solution:
    if solver == "mu":
        return mu(found, k, rng, options)
    if k == 1:
        return rank1(found, options.workers)
    return coreset(found, k, rng, options) if solver == "coreset" else hals(found, k, rng, options)
