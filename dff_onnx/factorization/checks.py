"""Input that cannot be factorized is refused here, once, with a sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.errors import ArrayError, UsageError

# Squares of float32 stay clear of overflow and underflow while the largest value lies between these powers of two.
COMFORT = 20


def checked(A: Any) -> tuple[Array, float]:
    """`A` as a two-dimensional array of finite, non-negative float32 or float64, and its largest value.

    Args:
        A: `(N, c)`; any array of the standard, or something NumPy makes an array of. float16 becomes float32.

    Raises:
        ArrayError: saying what was found instead.
    """
    A = _as_array(A)
    xp = namespace_of(A)
    if A.ndim != 2 or 0 in A.shape:
        raise ArrayError(f"A: a matrix of rows and channels is needed, found the shape {tuple(A.shape)}")
    if not xp.isdtype(A.dtype, "real floating"):
        raise ArrayError(f"A: floating-point values are needed, found {A.dtype}; convert it first")
    if A.dtype not in (xp.float32, xp.float64):
        A = xp.astype(A, xp.float32)
    low, high = float(xp.min(A)), float(xp.max(A))  # both carry a NaN along
    if math.isnan(low) or math.isinf(low) or math.isinf(high):
        raise ArrayError("A: holds NaN or infinite values; find out where they come from before factorizing")
    if low < 0:
        raise ArrayError(
            f"A: the smallest value is {low:.6g}, and a non-negative factorization needs values >= 0; "
            "take activations after a ReLU, or clip them"
        )
    return A, high


def _as_array(A: Any) -> Array:
    if hasattr(A, "__array_namespace__") or isinstance(A, np.ndarray):
        return A
    array = np.asarray(A)
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    return array


def checked_rank(k: Any, shape: tuple[int, int]) -> int:
    """`k` as an int that a matrix of this shape can have.

    Raises:
        UsageError: for anything else.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise UsageError(f"k: a whole number of concepts is needed, found {k!r}")
    if k < 1:
        raise UsageError(f"k: at least one concept is needed, found {k}")
    rows, channels = shape
    if k > min(rows, channels):
        raise UsageError(
            f"k: {k} concepts are more than {rows} rows and {channels} channels allow; "
            f"take at most {min(rows, channels)}"
        )
    return int(k)


def comfortable(A: Array, high: float) -> tuple[Array, float]:
    """`A`, whose largest value is `high`, times a power of two that keeps its squares representable, and that power.

    Multiplying by a power of two is exact, so the factorization is the same up to this scale. Ordinary activations
    need none and are not copied.
    """
    exponent = math.frexp(high)[1]
    if high == 0 or abs(exponent) <= COMFORT:
        return A, 1.0
    scale = math.ldexp(1.0, -max(min(exponent, 126), -126))
    return A * scale, scale
