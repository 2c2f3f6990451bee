"""Dot products whose bits depend on the two vectors alone, and quick ones that tell which are worth computing.

A matrix product rounds as its library sees fit: by shape, by thread count, by processor. Here the products of single
precision are exact in float64, and are added by halves, with nothing but additions of whole arrays: every library does
the same additions, whatever else is computed beside them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.halves import widen
from dff_onnx.arrays.helpers import double, row_blocks, row_norms_squared
from dff_onnx.errors import ArrayError

AT_ONCE = 2**21  # float64 values: 16 MiB
PIECE = 1024  # vectors: 2 MiB of 512 channels in float32
LARGEST_HALF = 65504.0
ROUNDING = 2.0**-24  # of float32
SMALLEST = 2.0**-126  # what a device may take for 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Vectors.

    Attributes:
        values: `(n, c)`, float32, or float16 as they came.
        lengths: `(n,)` Euclidean, rather too large than too small.
    """

    values: Array
    lengths: Array

    @classmethod
    def of(cls, vectors: Array, what: str) -> Rows:
        """Vectors of float16 or float32.

        Args:
            vectors: `(n, c)`.
            what: they are, for the message.

        Raises:
            ArrayError: when one has a value that is not finite, or is too long for float32 (about 1e19).
        """
        xp = namespace_of(vectors)
        values = xp.astype(vectors, xp.float32, copy=False)
        return cls._checked(values, row_norms_squared(values), what)

    @classmethod
    def _checked(cls, values: Array, squares: Array, what: str) -> Self:
        xp = namespace_of(squares)
        # Squares of values below 2^-63 may vanish.
        lengths = xp.sqrt(squares) + math.sqrt(SMALLEST * values.shape[1])
        if not bool(xp.all(xp.isfinite(lengths))):
            raise _refusal(what)
        return cls(values, lengths)

    @classmethod
    def multiplied(cls, vectors: Array, queries: Sequence[Rows], what: str) -> tuple[Rows, list[Array]]:
        """Vectors, and their products in float32 with several sets of queries, `(m, n)` each.

        On the host a few vectors at a time go through all of it while they are in the cache, and halves stay halves
        (NumPy's own conversion takes as long as multiplying them with a hundred queries).

        Args:
            vectors: `(n, c)`.
            queries: beside them.
            what: the vectors are, for the message.

        Raises:
            ArrayError: as `of`.
        """
        if not isinstance(vectors, np.ndarray) or not isinstance(queries[0].values, np.ndarray):
            rows = cls.of(vectors, what)
            return rows, [some.values @ rows.values.T for some in queries]
        if vectors.dtype not in (np.float16, np.float32):
            vectors = vectors.astype(np.float32)
        n, c = vectors.shape
        made = [np.empty((some.values.shape[0], n), np.float32) for some in queries]
        squares, buffer = np.empty(n, np.float32), np.empty((min(PIECE, n), c), np.float32)
        for piece in row_blocks(n, PIECE):
            single = vectors[piece]
            if single.dtype == np.float16:
                single = widen(single, buffer[: len(single)])
            np.einsum("ij,ij->i", single, single, out=squares[piece])
            for some, out in zip(queries, made, strict=True):
                np.matmul(some.values, single.T, out=out[:, piece])
        rows = cls._checked(vectors, squares, what)
        # Widened, what is not finite is a number beyond all halves.
        if (
            vectors.dtype == np.float16
            and rows.lengths.max(initial=0) > LARGEST_HALF
            and not np.isfinite(vectors).all()
        ):
            raise _refusal(what)
        return rows, list[Array](made)


def _refusal(what: str) -> ArrayError:
    return ArrayError(f"{what}: a value is not finite, or too large for a float32 to hold its square")


def exact_products(left: Array, right: Array, rows: Array, columns: Array) -> Array:
    """`<left[i], right[j]>` of pairs (i, j), added in float64 in a fixed order, rounded to float32.

    Args:
        left, right: `(m, c)` and `(n, c)` float16 or float32.
        rows, columns: `(p,)` int64, the pairs.

    Returns:
        `(p,)` float32.

    >>> import numpy as np
    >>> vectors = np.array([[1.0, 2.0, 3.0]], np.float32)
    >>> exact_products(vectors, vectors, np.array([0]), np.array([0])).tolist()
    [14.0]
    """
    xp = namespace_of(left, right, rows, columns)
    made = []
    for block in row_blocks(rows.shape[0], max(1, AT_ONCE // left.shape[1])):
        near, far = (double(xp.take(*of, axis=0)) for of in ((left, rows[block]), (right, columns[block])))
        made.append(xp.astype(_sum_by_halves(near * far), xp.float32))
    return xp.concat(made)


def slack(queries: Rows, vectors: Rows) -> Array:
    """How far a product in float32, in whatever order, is at most from the exact one, `(m,)` float32.

    Twice `c u ||q|| ||x||` (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1), because float32 rounds the
    bound, too; `u` is its rounding.

    >>> import numpy as np
    >>> one = Rows.of(np.ones((1, 4), np.float32), "vectors")
    >>> bool(0 < slack(one, one)[0] < 1e-5)
    True
    """
    channels = queries.values.shape[1]
    longest = float(namespace_of(vectors.lengths).max(vectors.lengths))
    relative = 2 * (channels + 8) * ROUNDING * longest
    return queries.lengths * relative + (queries.lengths + 1) * (channels * SMALLEST * (longest + 1))


def lowered(values: Array, by: Array) -> Array:
    """Values less a slack and their own rounding; minus infinity stays."""
    return values - 8 * ROUNDING * abs(values) - by


def _sum_by_halves(terms: Array) -> Array:
    """The rows' sums `(p, c)` -> `(p,)`: the second half is added to the first until one column is left. In place."""
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    return terms[:, 0]
