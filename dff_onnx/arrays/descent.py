"""Coordinate descent for many small non-negative least squares at once: the inner loop of everything here.

Hierarchical alternating least squares (Cichocki et al. 2007; Gillis & Glineur 2012). Row by row,
`X_j <- max((B_j - sum_{i != j} Q_ji X_i) / Q_jj, 0)` is the exact minimum in that row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.helpers import diagonal, identity
from dff_onnx.arrays.kernels import coordinate_descent_kernel
from dff_onnx.arrays.namespace import Array, is_cupy, namespace_of

# A concept shorter than this carries nothing; dividing by its length would only make noise.
TINY = 1e-30


def coordinate_descent(X: Array, B: Array, Q: Array, sweeps: int) -> Array:
    """Sweeps over the rows of `X` for `min_{X>=0} <X, Q X> / 2 - <B, X>`; `X` changes in place.

    Args:
        X: `(..., k, m)`, contiguous, where the descent begins.
        B: `(..., k, m)`.
        Q: `(..., k, k)` Gram matrices, in any precision. A row whose diagonal is zero leaves `X_j` as it is.
        sweeps: how often all rows are visited.

    Returns:
        `X`.

    >>> import numpy as np
    >>> coordinate_descent(np.zeros((1, 2)), np.array([[4.0, -1.0]]), np.array([[2.0]]), 1).tolist()
    [[2.0, 0.0]]
    """
    return Quadratic.of(Q, B.dtype).descend(X, B, sweeps)


@dataclass(frozen=True, slots=True)
class Quadratic:
    """A Gram matrix made ready for sweeps, which many right-hand sides may share.

    Attributes:
        Q: `(..., k, k)`.
        scaled: its rows divided by the diagonal, whose place is then empty: a sweep needs no division.
        inverse: `(..., k, 1)` of the diagonal, 0 where it is zero.
    """

    Q: Array
    scaled: Array
    inverse: Array

    @classmethod
    def of(cls, Q: Array, dtype: Any) -> Quadratic:
        """For right-hand sides of a dtype; `Q` may be more precise."""
        xp = namespace_of(Q)
        lengths = diagonal(Q)
        alive = xp.astype(lengths > TINY, Q.dtype)
        inverse = (alive / (lengths + (1.0 - alive)))[..., None]
        # On the diagonal 0, or -1 where nothing may change, so that X_j is put back.
        scaled = Q * inverse - identity(Q.shape[-1], Q)
        return cls(*(xp.astype(part, dtype, copy=False) for part in (Q, scaled, inverse)))

    def cold(self, B: Array) -> Array:
        """Where a descent may begin: each row of X alone would be `B_j / Q_jj`, and k of them share."""
        return namespace_of(B).clip(B * (self.inverse / B.shape[-2]), 0, None)

    def descend(self, X: Array, B: Array, sweeps: int) -> Array:
        """See `coordinate_descent`."""
        B = B * self.inverse
        if isinstance(X, np.ndarray):
            _with_buffers(X, B, self.scaled, sweeps)
        elif is_cupy(X):
            coordinate_descent_kernel(X, B, self.scaled, sweeps)
        else:
            by_the_standard(X, B, self.scaled, sweeps)
        return X


def _with_buffers(X: NDArray[np.floating], B: NDArray[np.floating], Q: NDArray[np.floating], sweeps: int) -> None:
    k = X.shape[-2]
    rows = [slice(j, j + 1) for j in range(k)]
    parts = [(Q[..., j, :], B[..., j, :], X[..., j, :]) for j in rows]
    buffer = np.empty_like(parts[0][2])
    for _ in range(sweeps):
        for q, b, x in parts:
            np.matmul(q, X, out=buffer)
            np.subtract(b, buffer, out=buffer)
            np.maximum(buffer, 0, out=x)


def by_the_standard(X: Array, B: Array, Q: Array, sweeps: int) -> None:
    """The same in the words of the array API standard; what the fast ways are compared with."""
    xp = namespace_of(X)
    for _ in range(sweeps):
        for j in range(X.shape[-2]):
            explained = xp.matmul(Q[..., j : j + 1, :], X)[..., 0, :]
            X[..., j, :] = xp.clip(B[..., j, :] - explained, 0, None)
