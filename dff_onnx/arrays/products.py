"""The two products of a pass over tall blocks: `A_b W^T` and `H_b^T A_b`, a few columns wide.

OpenBLAS packs what it multiplies before it starts; for a few columns that costs more than the product. Slabs of 64
rows stay below the size where its newer kernels stop doing without (measured at k = 5: 9.8 GB/s against 5.2), and
slower elsewhere they are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.helpers import contiguous
from dff_onnx.arrays.namespace import Array

SLAB = 64


def rows_times(A_b: Array, Wt: Array) -> Array:
    """`W A_b^T` as `(k, rows)`, contiguous.

    Args:
        A_b: `(rows, c)`.
        Wt: `(c, k)` of the same dtype, contiguous.

    >>> import numpy as np
    >>> rows_times(np.array([[1.0, 2.0], [0.0, 3.0]]), np.array([[1.0], [1.0]])).tolist()
    [[3.0, 3.0]]
    """
    if not isinstance(A_b, np.ndarray):
        return contiguous((A_b @ Wt).T)
    slabs, rest = _slabs(A_b)
    product = np.empty((A_b.shape[0], Wt.shape[1]), A_b.dtype)
    whole = A_b.shape[0] - rest.shape[0]
    np.matmul(slabs, Wt, out=product[:whole].reshape(-1, SLAB, Wt.shape[1]))
    np.matmul(rest, Wt, out=product[whole:])
    return np.ascontiguousarray(product.T)


def times_rows(Ht_b: Array, A_b: Array) -> Array:
    """`H_b^T A_b` as `(k, c)`, in the precision of `A_b`.

    Args:
        Ht_b: `(k, rows)`.
        A_b: `(rows, c)`.

    >>> import numpy as np
    >>> times_rows(np.array([[2.0, 1.0]]), np.array([[1.0, 2.0], [0.0, 3.0]])).tolist()
    [[2.0, 7.0]]
    """
    if not isinstance(A_b, np.ndarray):
        return Ht_b @ A_b
    slabs, rest = _slabs(A_b)
    whole = A_b.shape[0] - rest.shape[0]
    H_b = np.ascontiguousarray(Ht_b[:, :whole].T).reshape(-1, SLAB, Ht_b.shape[0])
    total: NDArray[np.floating] = np.matmul(H_b.transpose(0, 2, 1), slabs).sum(axis=0)
    return total + Ht_b[:, whole:] @ rest


def _slabs(A_b: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Whole slabs as `(n, 64, c)`, and the rows that are left."""
    whole = A_b.shape[0] // SLAB * SLAB
    return A_b[:whole].reshape(-1, SLAB, A_b.shape[1]), A_b[whole:]
