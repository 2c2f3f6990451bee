"""Eigen-CAM: what is strongest in each picture, whatever the class (Muhammad & Yeasin, IJCNN 2020)."""

from __future__ import annotations

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double, row_blocks
from dff_onnx.errors import ArrayError

# Pictures whose Gram matrices are held at once.
AT_ONCE = 16


def eigen_map(A: Array) -> Array:
    """Each picture's activations along their first right singular vector, `A v`: DFF of one concept for each picture.

    The activations are not centred. For `A >= 0` the map is nowhere negative; else its sign makes its sum positive.

    Args:
        A: `(n, h, w, c)` activations.

    Returns:
        `(n, h, w)`, the type of `A`.

    Raises:
        ArrayError: when there are other axes, or values are not finite.

    >>> import numpy as np
    >>> eigen_map(np.array([[[[3.0, 4.0], [0.0, 0.0]]]])).tolist()
    [[[5.0, 0.0]]]
    """
    xp = namespace_of(A)
    if A.ndim != 4 or 0 in A.shape[1:]:
        raise ArrayError(f"Eigen-CAM: activations (n, h, w, c) are needed, found {tuple(A.shape)}")
    n, h, w, c = A.shape
    if n == 0:
        return A[..., 0]
    rows = xp.reshape(A, (n, h * w, c))
    maps = [_leading(rows[block, ...]) for block in row_blocks(n, AT_ONCE)]
    return xp.astype(xp.reshape(xp.concat(maps, axis=0), (n, h, w)), A.dtype, copy=False)


def _leading(rows: Array) -> Array:
    """`A v` of each of some matrices `(n, places, c)`, float64, by the Gram matrix of the smaller side."""
    xp, R = namespace_of(rows), double(rows)
    if not bool(xp.all(xp.isfinite(R))):
        raise ArrayError("Eigen-CAM: activations must be finite; there are NaN or infinite values")
    turned = xp.matrix_transpose(R)
    if R.shape[1] <= R.shape[2]:
        # A v = sigma u, and u is an eigenvector of A A^T.
        values, vectors = xp.linalg.eigh(R @ turned)
        largest = xp.maximum(values[:, -1:], xp.zeros_like(values[:, -1:]))
        found = vectors[:, :, -1] * xp.sqrt(largest)
    else:
        found = (R @ xp.linalg.eigh(turned @ R)[1][:, :, -1:])[:, :, 0]
    sums = xp.sum(found, axis=1, keepdims=True)
    return xp.where(sums < 0, -found, found)
