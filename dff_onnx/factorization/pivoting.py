"""Non-negative least squares to the end, where concepts are so much alike that coordinate descent takes too long.

Block principal pivoting (Kim and Park 2011, "Fast Nonnegative Matrix Factorization: An Active-Set-Like Method and
Comparisons", section 3): every row guesses which of its coefficients are above zero, solves for these, and exchanges
those that are wrong; where exchanging all at once no longer helps, only the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import identity

ROUNDS_EACH = 5  # exchanges for each concept, at most
FULL_EXCHANGES = 3  # that may fail to help before one at a time is exchanged
AT_ONCE = 256  # columns whose systems are solved together: 64 concepts take 8 MiB
RIDGE = 1e-12  # of the largest entry of the Gram matrix: equal concepts share what either could take
ROUNDING = 1e-12  # of the largest product: what counts as zero


def solved(Ht: Array, B: Array, Q: Array) -> Array:
    """The minimum of `1/2 h^T Q h - b^T h` over `h >= 0` for every column `h` of `Ht` and `b` of `B`.

    Args:
        Ht: `(k, N)` `>= 0`, a guess: which of its entries are above zero.
        B: `A W^T` transposed, `(k, N)`.
        Q: `W W^T`, `(k, k)` float64.

    Returns:
        `(k, N)` in `Ht`'s precision. A column that does not end in five exchanges for each concept stays as guessed.

    >>> import numpy as np
    >>> Q = np.array([[1.0, 0.5], [0.5, 1.0]])
    >>> solved(np.ones((2, 1)), np.array([[1.0], [0.25]]), Q).round(6).tolist()
    [[1.0], [0.0]]
    """
    xp = namespace_of(Ht)
    parts = [slice(i, min(i + AT_ONCE, Ht.shape[1])) for i in range(0, Ht.shape[1], AT_ONCE)]
    return xp.concat([_columns(Ht[:, one], B[:, one], Q) for one in parts], axis=1)


@dataclass(frozen=True, slots=True)
class _Systems:
    """The same matrix, and a right side for each of some columns.

    Attributes:
        Q: `(k, k)`.
        b: `(m, k)`.
        zero: `(m, 1)`, what counts as zero for each column.
    """

    Q: Array
    b: Array
    zero: Array

    def solution(self, passive: Array) -> Array:
        """Coefficients where `passive (m, k)`, the gradient elsewhere."""
        xp = namespace_of(self.b)
        on = xp.astype(passive, xp.float64)
        one = identity(self.b.shape[1], self.b)
        largest = xp.max(xp.abs(self.Q))
        ridge = RIDGE * xp.where(largest > 0, largest, xp.ones_like(largest)) * one
        systems = (self.Q + ridge)[None, :, :] * on[:, :, None] * on[:, None, :]
        systems = systems + one[None, :, :] * (1 - on)[:, None, :]
        h = xp.linalg.solve(systems, (self.b * on)[:, :, None])[:, :, 0]
        h = h + xp.linalg.solve(systems, ((self.b - h @ self.Q) * on)[:, :, None])[:, :, 0]  # what the ridge took
        return xp.where(passive, h, h * on @ self.Q - self.b)


def _columns(Ht: Array, B: Array, Q: Array) -> Array:
    xp = namespace_of(Ht)
    b = xp.astype(B, xp.float64).T
    systems = _Systems(Q, b, ROUNDING * xp.max(xp.abs(b), axis=1, keepdims=True))
    m, k = b.shape
    passive = Ht.T > 0
    least = xp.full((m,), k + 1, dtype=xp.int64, device=b.device)
    tries = xp.full((m,), FULL_EXCHANGES, dtype=xp.int64, device=b.device)
    values, wrong = _looked_at(systems, passive)
    for _ in range(ROUNDS_EACH * k):
        if not bool(xp.any(wrong)):
            break
        many = xp.sum(xp.astype(wrong, xp.int64), axis=1)
        better = many < least
        whole = better | (tries > 0)
        tries = xp.where(better, FULL_EXCHANGES, tries - 1)
        least = xp.where(better, many, least)
        passive = passive ^ xp.where(whole[:, None], wrong, wrong & _last(wrong))
        values, wrong = _looked_at(systems, passive)
    ended = ~xp.any(wrong, axis=1, keepdims=True)
    found = xp.where(passive & (values > 0), values, xp.zeros_like(values))
    return xp.where(ended, xp.astype(found, Ht.dtype), Ht.T).T


def _looked_at(systems: _Systems, passive: Array) -> tuple[Array, Array]:
    """Coefficients and gradients, and which of them are below zero."""
    values = systems.solution(passive)
    return values, values < -systems.zero


def _last(wrong: Array) -> Array:
    """The last true entry of each row."""
    xp = namespace_of(wrong)
    places = xp.arange(1, wrong.shape[1] + 1, device=wrong.device)
    marked = xp.where(wrong, places[None, :], 0)
    return marked == xp.max(marked, axis=1, keepdims=True)
