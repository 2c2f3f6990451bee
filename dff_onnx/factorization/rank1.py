"""k = 1 has a closed form: for `A >= 0` the best rank-1 factorization is the leading singular pair.

By Perron-Frobenius its vectors are non-negative, so the constraint costs nothing. A Krylov subspace of `A^T A` (Lanczos
1950, with full orthogonalization) finds it in a few passes and needs no seed; where the first two singular values are
close, the Gram matrix's eigenvector finishes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from operator import add

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.descent import TINY
from dff_onnx.arrays.helpers import diagonal, double, length, like
from dff_onnx.arrays.products import rows_times, times_rows
from dff_onnx.factorization.distributed import DistributedRows, Part, added
from dff_onnx.factorization.passes import coefficients, improve
from dff_onnx.factorization.result import Solution
from dff_onnx.factorization.rows import Rows
from dff_onnx.factorization.survey import Survey
from dff_onnx.threads import in_order

TOLERANCE = 1e-7
PASSES = 20


def rank1(found: Survey, workers: int = 0) -> Solution:
    """The leading pair of what was surveyed.

    Returns:
        `Ht = A v1` as `(1, N)` and `W = v1` as `(1, c)`; exact to about 1e-7 in the direction.
    """
    xp = namespace_of(found.sample)
    start = xp.sum(found.sample, axis=0, dtype=xp.float64)  # not orthogonal to a non-negative v1
    v, passes = leading_vector(lambda v: _gram_times(found.rows, v, workers), start)
    if v is None:
        v, passes = _leading_eigenvector(found, workers), passes + 1
    W = xp.reshape(xp.abs(v), (1, -1))  # an eigenvector's sign is free, rounding may leave -0
    Ht = coefficients(found, 1)
    sums = improve(found.rows, W, Ht, workers, cold=True)
    return Solution(
        Ht=Ht,
        W=W,
        n_iter=passes + 1,
        converged=True,
        stopped="the leading singular pair was reached",
        squares=diagonal(sums.HtH),
        rest=sums.residual(found.norm, W),
        kkt=sums.kkt(W),
    )


def leading_vector(times: Callable[[Array], Array], start: Array) -> tuple[Array | None, int]:
    """The leading eigenvector of a symmetric positive semi-definite operator, or None where it comes too slowly.

    Args:
        times: applies the operator to a vector of float64.
        start: `(c,)` where to begin.

    Returns:
        the vector of unit length, and how often the operator was applied.
    """
    xp = namespace_of(start)
    basis, images = [_unit(start)], list[Array]()
    while len(basis) <= PASSES:
        images.append(times(basis[-1]))
        B, GB = xp.stack(basis), xp.stack(images)
        values, turn = xp.linalg.eigh((B @ GB.T + GB @ B.T) / 2)
        v, rest = turn[:, -1] @ B, turn[:, -1] @ GB
        missed = rest - float(values[-1]) * v
        gap = float(values[-1] - values[-2]) if len(basis) > 1 else float(values[-1])
        # Davis & Kahan: the angle to the eigenvector is at most |G v - value v| / gap.
        if length(missed) <= TOLERANCE * gap or float(values[-1]) <= TINY:
            return _unit(v), len(images)
        basis.append(_unit(missed - (B @ missed) @ B))
    return None, PASSES


def _unit(v: Array) -> Array:
    xp = namespace_of(v)
    size = length(v)
    # An A of zeros has no direction; every unit vector is as good.
    return v / size if size > 0 else xp.ones_like(v) / v.shape[0] ** 0.5


def _gram_times(rows: Rows | DistributedRows, v: Array, workers: int) -> Array:
    """`A^T A v` in one pass, summed in float64."""
    if isinstance(rows, DistributedRows):
        return like(reduce(add, rows.each(partial(part_gram_times, v=to_numpy(v)))), v)
    xp = namespace_of(v)

    def times(item: tuple[slice, Array]) -> Array:
        A_b = item[1]
        return double(times_rows(rows_times(A_b, xp.astype(v, A_b.dtype)[:, None]), A_b)[0, :])

    return added(in_order(rows, times, workers), rows.blocks)


def part_gram_times(part: Part, v: Array) -> Array:
    """`A^T A v` of a part, on the host."""
    A = part.rows.source
    return to_numpy(_gram_times(part.rows, like(v, A, namespace_of(A).float64), 0))


def _leading_eigenvector(found: Survey, workers: int) -> Array:
    """From the `(c, c)` Gram matrix; `c` is at most a few thousand."""
    xp = namespace_of(found.sample)
    return xp.linalg.eigh(_gram(found.rows, found.sample, workers))[1][:, -1]


def _gram(rows: Rows | DistributedRows, beside: Array, workers: int = 0) -> Array:
    """`A^T A`, summed in float64."""
    xp = namespace_of(beside)
    if isinstance(rows, DistributedRows):
        return like(reduce(add, rows.each(part_gram)), beside, xp.float64)

    def gram(item: tuple[slice, Array]) -> Array:
        return xp.astype(item[1].T @ item[1], xp.float64)

    return added(in_order(rows, gram, workers), rows.blocks)


def part_gram(part: Part) -> Array:
    """`A^T A` of a part, on the host."""
    return to_numpy(_gram(part.rows, part.rows.source))
