"""What the core needs and the array API standard lacks, or a library does faster in its own way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from dff_onnx.arrays.namespace import Array, device_of, is_cupy, namespace_of


def row_blocks(rows: int, size: int = 2048) -> Iterator[slice]:
    """Slices of `size` rows that cover `rows`; the fixed cut keeps sums identical whoever computes them.

    >>> [(b.start, b.stop) for b in row_blocks(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def like(host: Array, array: Array, dtype: Array | None = None) -> Array:
    """A NumPy array (a seeded draw, say) moved beside `array`: same library, same device.

    Args:
        host: the NumPy array.
        array: says where to.
        dtype: of the result; that of `array` by default.
    """
    xp = namespace_of(array)
    moved = xp.asarray(np.ascontiguousarray(host)) if is_cupy(array) else xp.asarray(host, device=device_of(array))
    return xp.astype(moved, dtype or array.dtype, copy=False)


def double(array: Array) -> Array:
    """The array in float64."""
    xp = namespace_of(array)
    return xp.astype(array, xp.float64, copy=False)


def at_least_single(array: Array) -> Array:
    """The array in float32, or in float64 where it is that already: sums of float16 overflow, integers have no unit.

    >>> import numpy as np
    >>> at_least_single(np.ones(2, np.float16)).dtype.name
    'float32'
    """
    xp = namespace_of(array)
    return array if array.dtype == xp.float64 else xp.astype(array, xp.float32, copy=False)


def zeros_like_with(shape: tuple[int, ...], array: Array, dtype: Array | None = None) -> Array:
    """Zeros of a shape beside `array`."""
    xp = namespace_of(array)
    kwargs = {} if is_cupy(array) else {"device": device_of(array)}
    return xp.zeros(shape, dtype=dtype or array.dtype, **kwargs)


def empty_rows(shape: tuple[int, int], array: Array) -> Array:
    """A matrix of unset values beside `array`, of its dtype; pages that stay unused cost nothing."""
    xp = namespace_of(array)
    return xp.empty(shape, dtype=array.dtype, **({} if is_cupy(array) else {"device": device_of(array)}))


def row_norms_squared(block: Array) -> Array:
    """`||a_i||^2` of every row, in the block's precision.

    >>> import numpy as np
    >>> row_norms_squared(np.array([[3.0, 4.0]])).tolist()
    [25.0]
    """
    xp = namespace_of(block)
    if isinstance(block, np.ndarray):
        return np.einsum("ij,ij->i", block, block)  # no temporary of the block's size
    return xp.sum(block * block, axis=1)


def inner_products(left: Array, right: Array) -> Array:
    """`<L, R>` of every pair of matrices `(..., k, m)`, float64: the few rows in their precision, then the columns.

    >>> import numpy as np
    >>> float(inner_products(np.array([[3.0, 4.0]]), np.array([[1.0, 2.0]])))
    11.0
    """
    xp = namespace_of(left)
    if isinstance(left, np.ndarray):
        return np.sum(np.einsum("...ij,...ij->...j", left, right), axis=-1, dtype=np.float64)
    return xp.sum(xp.sum(left * right, axis=-2), axis=-1, dtype=xp.float64)


def cumulative_sum(values: Array) -> Array:
    """Running sums along the last axis (`cumulative_sum` is younger than the NumPy and CuPy we support)."""
    xp = namespace_of(values)
    return xp.cumsum(values, axis=-1) if hasattr(xp, "cumsum") else xp.cumulative_sum(values, axis=-1)


def contiguous(array: Array) -> Array:
    """The same values in row-major order where the library knows of an order; BLAS is much faster on it."""
    xp = namespace_of(array)
    return xp.ascontiguousarray(array) if hasattr(xp, "ascontiguousarray") else array


def identity(size: int, array: Array) -> Array:
    """The identity matrix beside `array`, of its dtype."""
    kwargs = {} if is_cupy(array) else {"device": device_of(array)}
    return namespace_of(array).eye(size, dtype=array.dtype, **kwargs)


def diagonal(matrices: Array) -> Array:
    """The diagonals `(..., k)` of matrices `(..., k, k)` (CuPy has no `linalg.diagonal`).

    >>> import numpy as np
    >>> diagonal(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [1.0, 4.0]
    """
    xp = namespace_of(matrices)
    if hasattr(xp, "diagonal"):
        return xp.diagonal(matrices, axis1=-2, axis2=-1)
    return xp.linalg.diagonal(matrices)


def length(vector: Array) -> float:
    """`||v||_2` (CuPy has no `linalg.vector_norm`).

    >>> import numpy as np
    >>> length(np.array([3.0, 4.0]))
    5.0
    """
    xp = namespace_of(vector)
    return math.sqrt(float(xp.sum(vector * vector)))


def precision(array: Array) -> float:
    """The relative rounding step of a floating-point array (CuPy has no `finfo`)."""
    return 2.0**-52 if array.dtype == namespace_of(array).float64 else 2.0**-23


def asking_interval(array: Array) -> int:
    """Steps of a loop between two looks at a value: on a GPU a look waits for everything before it."""
    return 8 if is_cupy(array) else 2


def blocks_at_once(array: Array) -> int:
    """Blocks of rows worth handling together: a GPU is idle for longer than one block takes between two of them."""
    return 64 if is_cupy(array) else 1


def parts(array: Array) -> list[slice]:
    """Of the first axis, to be worked on together: one by one on the host, where they stay in the cache, or all."""
    return [slice(None)] if is_cupy(array) else [slice(j, j + 1) for j in range(array.shape[0])]


def count(mask: Array) -> int:
    """How many entries of a boolean array are true."""
    if isinstance(mask, np.ndarray):
        return int(np.count_nonzero(mask))
    xp = namespace_of(mask)
    return int(xp.sum(xp.astype(mask, xp.int64)))
