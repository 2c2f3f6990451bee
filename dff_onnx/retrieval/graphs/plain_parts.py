"""A graph as plain arrays, for files; and back, with nothing about them trusted.

What is solved on a graph needs the eigenvalues of `W` in -1..1. A matrix of values `>= 0` has them there if there is a
vector `v > 0` with `W v <= v` (Collatz, 1942; Wielandt, 1950): the roots of the degrees are one, and go along as proof.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.sparse import compressed_rows
from dff_onnx.errors import ArrayError
from dff_onnx.retrieval.graphs.affinity import Graph

ROUNDING = 1e-9  # that the proof may be off by

Parts = dict[str, NDArray[Any]]


def graph_parts(graph: Graph) -> Parts:
    """`indptr` int64, `indices` int32, `data` and `roots` float64 of a graph that `mutual_graph` made, on the host.

    Raises:
        ArrayError: for a graph without `roots`.

    >>> from dff_onnx.retrieval.graphs.affinity import mutual_graph
    >>> pair = mutual_graph(np.array([[1], [0]]), np.array([[1.0], [1.0]]))
    >>> {name: part.tolist() for name, part in graph_parts(pair).items()}
    {'indptr': [0, 1, 2], 'indices': [1, 0], 'data': [1.0, 1.0], 'roots': [1.0, 1.0]}
    """
    if graph.roots is None:
        raise ArrayError("a graph without the roots of its degrees cannot prove that it can be solved on")
    W = graph.W
    return {
        "indptr": to_numpy(W.indptr).astype(np.int64),
        "indices": to_numpy(W.indices).astype(np.int32),
        "data": to_numpy(W.data).astype(np.float64),
        "roots": to_numpy(graph.roots).astype(np.float64),
    }


def graph_of_parts(parts: Parts) -> Graph:
    """The graph of what `graph_parts` gave, wherever it has been since.

    Raises:
        ArrayError: when they are no such graph: rows that run out of it, neighbours that are not there, do not rise or
            are the node itself, weights that are not finite, not above 0 or not the same both ways, no proof.

    >>> pair = {"indptr": [0, 1, 2], "indices": [1, 0], "data": [0.5, 0.5], "roots": [1.0, 1.0]}
    >>> graph_of_parts({name: np.array(part) for name, part in pair.items()}).W.toarray().tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    indptr, indices, data, roots = (parts[name] for name in ("indptr", "indices", "data", "roots"))
    _check_kinds(indptr, indices, data, roots)
    n = len(roots)
    _check_places(indptr, indices, n, len(data))
    for name, values in (("weights", data), ("roots", roots)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ArrayError(f"a graph's {name} must be finite, and above 0")
    W = compressed_rows(data, indices.astype(np.int32), indptr.astype(np.int64), (n, n))
    if (W != W.T).nnz:
        raise ArrayError("a graph's weights must be the same both ways")
    with np.errstate(over="ignore", invalid="ignore"):
        proved = W @ roots <= roots * (1 + ROUNDING)
    if not proved.all():
        raise ArrayError("a graph's roots do not prove that its eigenvalues are in -1..1")
    return Graph(W, roots)


def _check_kinds(indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[Any], roots: NDArray[Any]) -> None:
    whole, real = {indptr.dtype.kind, indices.dtype.kind}, {data.dtype, roots.dtype}
    if whole != {"i"} or real != {np.dtype(np.float64)}:
        raise ArrayError("a graph has integers for its places, and float64 for its weights and roots")
    if any(part.ndim != 1 for part in (indptr, indices, data, roots)) or len(indptr) != len(roots) + 1:
        raise ArrayError("a graph's parts have one side each, and a root for each of its rows")


def _check_places(indptr: NDArray[Any], indices: NDArray[Any], n: int, entries: int) -> None:
    # Differences may wrap around, so neighbours are compared instead.
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any() or not indptr[-1] == len(indices) == entries:
        raise ArrayError(f"a graph's rows must rise from 0 to its {entries} weights")
    if not entries:
        return
    if indices.min() < 0 or indices.max() >= n:
        raise ArrayError(f"a graph's neighbours must be nodes 0 to {n - 1}")
    own = np.repeat(np.arange(n), np.diff(indptr))
    if (indices == own).any() or not (np.diff(own * n + indices) > 0).all():
        raise ArrayError("a graph's neighbours must rise in each row, and be other nodes")
