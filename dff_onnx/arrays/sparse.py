"""Sparse matrices: SciPy's on the host, cupyx's beside CuPy arrays, by one code path."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

from dff_onnx.arrays.namespace import Array, is_cupy

Sparse: TypeAlias = Any  # a matrix of compressed rows


def compressed_rows(values: Array, columns: Array, starts: Array, shape: tuple[int, int]) -> Sparse:
    """A matrix of compressed rows, in the library of its values.

    Args:
        values: of the entries, row after row.
        columns: of each, as many.
        starts: `(rows + 1,)` where each row begins.
        shape: of the matrix.

    >>> import numpy as np
    >>> compressed_rows(np.array([3.0]), np.array([1]), np.array([0, 1, 1]), (2, 2)).toarray().tolist()
    [[0.0, 3.0], [0.0, 0.0]]
    """
    made = _library(values).csr_matrix((values, columns, starts), shape=shape)
    made.sort_indices()
    return made


def _library(values: Array) -> Any:
    return importlib.import_module("cupyx.scipy.sparse" if is_cupy(values) else "scipy.sparse")
