"""Where the descents of a `fit` graph begin: rows far from each other, by k-means++ on angles."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from dff_onnx.deploy.fit_descent import Matrix
from dff_onnx.deploy.nodes import Nodes

TINY = float(np.finfo(np.float32).tiny)
LIFT = 1e-6  # of the largest value: coordinate descent starts badly from zeros


def add_starts(nodes: Nodes, A: Matrix, k: int, many: int, rng: np.random.Generator) -> str:
    """Adds concepts to start from, `(many, k, c)`; see `dff_onnx.factorization.starts.kmeans_plus_plus`.

    Args:
        nodes: of the graph.
        A: the matrix.
        k: rank.
        many: starts.
        rng: draws the uniform numbers that rows are chosen by.
    """
    norms = nodes.op("ReduceSum", nodes.op("Mul", A.columns, A.columns), [0])  # (1, N)
    unit = nodes.op("Div", A.columns, nodes.op("Sqrt", nodes.op("Max", norms, TINY)))
    uniform = rng.random((k, many, 1)).astype(np.float32)
    chosen = [_drawn(nodes, norms, uniform[0])]
    nearest = _distances(nodes, unit, chosen[0])
    for draw in uniform[1:]:
        chosen.append(_drawn(nodes, nodes.op("Mul", nearest, norms), draw))
        nearest = nodes.op("Min", nearest, _distances(nodes, unit, chosen[-1]))
    index = nodes.op("Concat", *chosen, axis=1)  # (many, k)
    W = nodes.op("Gather", A.rows, index, axis=0)
    return nodes.op("Add", W, nodes.op("Mul", nodes.op("ReduceMax", W, keepdims=0), LIFT))


def _drawn(nodes: Nodes, weights: str, uniform: np.ndarray) -> str:
    """One index for each row of weights `(many or 1, N)` by their probability, `(many, 1)` int64."""
    running = nodes.op("CumSum", weights, 1)
    total = nodes.op("Slice", running, [-1], [2**40], [1])
    passed = nodes.op("LessOrEqual", running, nodes.op("Mul", total, uniform))
    count = nodes.op("ReduceSum", nodes.op("Cast", passed, to=TensorProto.FLOAT), [1])
    rows = nodes.op("Gather", nodes.op("Shape", weights), 1)
    return nodes.op("Min", nodes.op("Cast", count, to=TensorProto.INT64), nodes.op("Sub", rows, 1))


def _distances(nodes: Nodes, unit: str, index: str) -> str:
    """`1 - cosine` of every row to each chosen one, `(many, N)`."""
    rows = nodes.op("Gather", unit, nodes.op("Squeeze", index, [1]), axis=1)  # (c, many)
    cosines = nodes.op("MatMul", nodes.op("Transpose", rows, perm=[1, 0]), unit)
    return nodes.op("Relu", nodes.op("Sub", 1.0, cosines))
