"""Orders of values: which come first, and how large those are."""

from __future__ import annotations

import numpy as np

from dff_onnx.arrays.namespace import Array, is_cupy, namespace_of


def stable_order(values: Array) -> Array:
    """Indices that bring `(n,)` to rising order; equals stay as they were (CuPy's `argsort` has no `stable`).

    >>> import numpy as np
    >>> stable_order(np.array([2, 1, 2, 1])).tolist()
    [1, 3, 0, 2]
    """
    if isinstance(values, np.ndarray):
        return np.argsort(values, kind="stable")
    return namespace_of(values).argsort(values)  # stable in CuPy and, by default, in the standard


def order_by(*keys: Array) -> Array:
    """Indices that bring rows to rising order of the first key; among equals, of the next, and so on.

    Args:
        keys: `(n,)` each.

    >>> import numpy as np
    >>> order_by(np.array([1, 0, 1]), np.array([5.0, 9.0, 4.0])).tolist()
    [1, 2, 0]
    """
    if isinstance(keys[0], np.ndarray):
        return np.lexsort(keys[::-1])
    xp = namespace_of(*keys)
    order = stable_order(keys[-1])
    for key in keys[-2::-1]:
        order = xp.take(order, stable_order(xp.take(key, order)))
    return order


def kth_largest(values: Array, k: int) -> Array:
    """The k-th largest value of every row, `(m, n)` -> `(m,)`; `1 <= k <= n`.

    >>> import numpy as np
    >>> kth_largest(np.array([[3.0, 1.0, 2.0]]), 2).tolist()
    [2.0]
    """
    place = values.shape[1] - k
    if isinstance(values, np.ndarray) or is_cupy(values):
        return namespace_of(values).partition(values, place, axis=1)[:, place]
    return namespace_of(values).sort(values, axis=1)[:, place]
