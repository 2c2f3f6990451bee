"""The front door of the solvers: checks, scale, solver, canonical form."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from dff_onnx.errors import UsageError
from dff_onnx.factorization.blocks import float64_sum, squared_row_norms
from dff_onnx.factorization.canonical import canonical
from dff_onnx.factorization.checks import checked, checked_rank, comfortable
from dff_onnx.factorization.hals import hals
from dff_onnx.factorization.mu import mu
from dff_onnx.factorization.rank1 import rank1
from dff_onnx.factorization.result import Factorization, Solution

Solver = Literal["hals", "mu"]


def factorize(
    A: Any,
    k: int,
    *,
    solver: Solver = "hals",
    seed: int = 0,
    max_iter: int = 200,
    tol: float | None = None,
    starts: int = 8,
) -> Factorization:
    """Deep Feature Factorization of an activation matrix: `A ~ H W`, all non-negative.

    Args:
        A: `(N, c)` activations, `>= 0`; NumPy, CuPy or another array of the standard, float16/32/64.
        k: number of concepts, at most `min(N, c)`. One has a closed form, which `hals` uses.
        solver: `hals`, or `mu` for the authors' multiplicative updates.
        seed: of the starts; the same seed gives the same bits.
        max_iter: passes over all rows at most.
        tol: see `hals` (2e-5) and `mu` (1e-4) for what theirs mean.
        starts: how many starts `hals` tries.

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
    if max_iter < 1 or starts < 1 or (tol is not None and not tol >= 0):
        raise UsageError(f"max_iter ({max_iter}) and starts ({starts}) must be at least 1, tol ({tol}) at least 0")
    A, high = checked(A)
    k = checked_rank(k, A.shape)
    A, scale = comfortable(A, high)
    norms = squared_row_norms(A)
    norm = float64_sum(norms)
    rng = np.random.default_rng(seed)
    found: Solution
    if solver == "mu":
        found = mu(A, k, rng, norm, max_iter, 1e-4 if tol is None else tol)
    elif k == 1:
        found = rank1(A)
    else:
        found = hals(A, k, rng, norms, max_iter, 2e-5 if tol is None else tol, starts)
    name = "rank1" if solver == "hals" and k == 1 else solver
    return canonical(A, found, name, norm).rescaled(1.0 / scale)
