"""How much of each picture concepts leave unexplained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import double
from dff_onnx.arrays.mapped import forget_pages

FORGET = 32  # pictures, after which mapped rows may leave memory


def losses(A: Array, H: Array, W: Array, cells: Sequence[int]) -> NDArray[np.float64]:
    """`||A_i - H_i W||^2 / ||A_i||^2` of each picture's rows.

    Args:
        A: `(N, c)` activations, picture after picture.
        H: `(N, k)` coefficients.
        W: `(k, c)` concepts.
        cells: rows of each picture.

    Returns:
        one figure a picture, on the host; 0 where all activations are 0. Above 1 where less would be left without `HW`.

    >>> A = np.array([[3.0, 4.0], [0.0, 2.0]])
    >>> losses(A, np.array([[3.0], [0.0]]), np.array([[1.0, 0.0]]), [1, 1]).tolist()
    [0.64, 1.0]
    """
    xp, start, found = namespace_of(A), 0, []
    for number, rows in enumerate(cells):
        part = slice(start, start + rows)
        left, there = double(A[part, :] - H[part, :] @ W), double(A[part, :])
        found.append(xp.stack([xp.sum(left * left), xp.sum(there * there)]))
        start += rows
        if number % FORGET == FORGET - 1:
            forget_pages(A)
            forget_pages(H)
    figures = to_numpy(xp.stack(found)).astype(np.float64)
    left_over, whole = figures.T
    shares: NDArray[np.float64] = np.divide(left_over, whole, out=np.zeros_like(whole), where=whole > 0)
    return shares
