"""The two pure functions of the factorization: one step on a block of rows, one solve for the concepts.

Whatever is shared between blocks is small: `W (k, c)`, `H^T A (k, c)`, `H^T H (k, k)` and a few scalars. Products of
a block with `A` run in `A`'s precision, everything else in float64 (the loss is a difference of large sums, and float32
sums are off by as much as a tolerance of 1e-5).
Who calls these functions, in which process and in which order, changes nothing as long as sums are added in the order
of the blocks. `H` is kept transposed, `(k, N)`: its rows are then contiguous, which coordinate descent walks along.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.descent import TINY, Quadratic, coordinate_descent
from dff_onnx.arrays.helpers import contiguous, double, inner_products
from dff_onnx.arrays.products import rows_times, times_rows


@dataclass(frozen=True, slots=True)
class Sums:
    """What blocks leave behind, all in float64.

    Attributes:
        HtA: `H^T A`, `(k, c)`.
        HtH: `H^T H`, `(k, k)`.
        inner: `<A, HW>`, an array without axes, so that nobody need wait for it.
        violation: the squared projected gradient of `H`, likewise: zero where `H` is optimal for `W`.
        product: `||A W^T||^2`, likewise: what the violation is to be compared with.
    """

    HtA: Array
    HtH: Array
    inner: Array
    violation: Array
    product: Array

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.HtA + other.HtA,
            self.HtH + other.HtH,
            self.inner + other.inner,
            self.violation + other.violation,
            self.product + other.product,
        )

    def mapped(self, change: Callable[[Array], Array]) -> Sums:
        """Every array changed: moved elsewhere, say."""
        return Sums(*(change(getattr(self, name)) for name in self.__slots__))

    def residual(self, norm: float, W: Array) -> float:
        """`||A-HW||^2` from the sums and `||A||^2`, never forming `HW`; at least 0."""
        xp = namespace_of(W)
        return max(norm + float(xp.sum(self.HtH * (W @ W.T)) - 2 * self.inner), 0.0)

    def kkt(self, W: Array) -> float:
        """How far `H` and `W` are from what the Karush-Kuhn-Tucker conditions ask for.

        The projected gradient of each factor beside its linear term, `||P(HQ - AW^T)|| / ||AW^T||` and
        `||P(H^T H W - H^T A)|| / ||H^T A||`; the larger of the two.
        """
        xp = namespace_of(W)
        in_H = float(self.violation) / max(float(self.product), TINY)
        lengths = xp.sqrt(xp.sum(W * W, axis=1))[:, None]  # as if concepts had unit length
        gradient = projected(self.HtH @ W - self.HtA, W) * lengths
        in_W = float(xp.sum(gradient**2)) / max(float(xp.sum((self.HtA * lengths) ** 2)), TINY)
        return math.sqrt(max(in_H, in_W))


@dataclass(frozen=True, slots=True)
class Concepts:
    """`W`, and what every block wants of it.

    Attributes:
        W: `(k, c)` in the precision of the blocks.
        Wt: its transpose, contiguous.
        gram: `W W^T`, ready for sweeps.
    """

    W: Array
    Wt: Array
    gram: Quadratic

    @classmethod
    def of(cls, W: Array, dtype: Any) -> Concepts:
        """For blocks of a dtype; `W (k, c)` float64."""
        rounded = namespace_of(W).astype(W, dtype)
        return cls(rounded, contiguous(rounded.T), Quadratic.of(W @ W.T, dtype))


def block_step(A_b: Array, concepts: Concepts, Ht_b: Array | None, sweeps: int) -> tuple[Array, Sums]:
    """Coefficients of one block for fixed concepts, and the block's share of the sums.

    Args:
        A_b: `(rows, c)`.
        concepts: `W`.
        Ht_b: `(k, rows)` coefficients to start from, or None for a cold start.
        sweeps: of coordinate descent.

    Returns:
        the new coefficients `(k, rows)`, and the sums.
    """
    xp, gram = namespace_of(A_b), concepts.gram
    B = rows_times(A_b, concepts.Wt)
    Ht_b = gram.descend(gram.cold(B) if Ht_b is None else xp.asarray(Ht_b, copy=True), B, sweeps)
    left, exact = projected(gram.Q @ Ht_b - B, Ht_b), double(Ht_b)
    return Ht_b, Sums(
        HtA=double(times_rows(Ht_b, A_b)),
        HtH=exact @ exact.T,
        inner=inner_products(Ht_b, B),
        violation=inner_products(left, left),
        product=inner_products(B, B),
    )


def solve_concepts(W: Array, HtA: Array, HtH: Array, sweeps: int = 50) -> Array:
    """The best concepts for fixed coefficients, by coordinate descent from `W`. Cost independent of N.

    Args:
        W: `(..., k, c)` float64; not changed.
        HtA: `(..., k, c)` float64.
        HtH: `(..., k, k)` float64.
        sweeps: of coordinate descent.
    """
    return coordinate_descent(namespace_of(W).asarray(W, copy=True), HtA, HtH, sweeps)


def projected(gradient: Array, X: Array) -> Array:
    """The part of a gradient that could still be followed: where `X` is zero, only downhill into `X > 0`."""
    xp = namespace_of(X)
    return xp.where(X > 0, gradient, xp.clip(gradient, None, 0))
