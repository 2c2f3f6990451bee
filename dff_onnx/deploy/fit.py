"""The factorization itself as a graph: a batch of pictures in; concepts, coefficients and heat maps out.

The way of `dff_onnx.factorization` for a matrix that is its own sample: starts by k-means++ race, the better ones go
on, the best goes to the end. What is random is drawn when the graph is made: equal pictures give equal results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, ValueInfoProto

from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.fit_descent import Matrix, Race, add_coordinate_descent, add_race
from dff_onnx.deploy.fit_starts import add_starts
from dff_onnx.deploy.network import output
from dff_onnx.deploy.nodes import Nodes

STARTS = 32
SEED = 0
LAST_SWEEPS = 30  # of the coefficients, once the concepts are found


@dataclass(frozen=True, slots=True)
class _Factors:
    """Names of `W (k, c)` with rows of unit length and `Ht (k, N)`, by energy."""

    W: str
    Ht: str


def add_fit(nodes: Nodes, k: int, features: str, picture: Picture) -> list[ValueInfoProto]:
    """Adds the factorization of all pictures of a batch together.

    Args:
        nodes: of the graph.
        k: concepts to find.
        features: `(n, c, h, w)`, `>= 0`.
        picture: the sizes.

    Returns:
        the outputs.
    """
    A = Matrix.of(nodes, features)
    found = add_race(nodes, A, add_starts(nodes, A, k, STARTS, np.random.default_rng(SEED)), k)
    factors = _canonical(nodes, A, found, k)
    shape = nodes.op("Shape", features)
    grid = [nodes.op("Slice", shape, [first], [end]) for first, end in ((0, 1), (2, 4))]
    stacked = nodes.op("Reshape", factors.Ht, nodes.op("Concat", [k], *grid, axis=0))
    nodes.op("Transpose", stacked, perm=[1, 0, 2, 3], out="coefficients")
    highest = nodes.op("ReduceMax", factors.Ht, [1])
    highest = nodes.op("Where", nodes.op("Greater", highest, 0.0), highest, 1.0)
    maps = nodes.op("Div", "coefficients", nodes.op("Reshape", highest, [1, k, 1, 1]))
    picture.enlarged(nodes, maps, "heatmaps")
    nodes.op("ReduceMax", maps, [2, 3], keepdims=0, out="scores")
    floats = TensorProto.FLOAT
    return [
        output("concepts", floats, [k, "c"], "W: directions in feature space, of unit length, by energy."),
        output("coefficients", floats, ["n", k, "gh", "gw"], "H on the grids of the pictures: A is about H W."),
        output("heatmaps", floats, ["n", k, "h", "w"], "H relative to its peak over the batch, at the pictures' size."),
        output("scores", floats, ["n", k], "Each concept's peak in a picture relative to that of the batch, 0..1."),
        output("loss", floats, [], "||A - H W||^2 / ||A||^2."),
    ]


def _canonical(nodes: Nodes, A: Matrix, found: Race, k: int) -> _Factors:
    """The best start's factors, `W` of unit length and by energy, with the best coefficients and the loss of both."""
    length = nodes.op("ReduceL2", found.W, [2])
    W = nodes.op("Div", found.W, nodes.op("Where", nodes.op("Greater", length, 0.0), length, 1.0))
    B, Q = nodes.op("MatMul", W, A.columns), nodes.op("MatMul", W, nodes.op("Transpose", W, perm=[0, 2, 1]))
    first = nodes.op("Mul", found.Ht, length)
    Ht = add_coordinate_descent(nodes, first, B, Q, k, LAST_SWEEPS)
    explained = nodes.op("ReduceSum", nodes.op("Mul", Ht, B), keepdims=0)
    HtH = nodes.op("MatMul", Ht, nodes.op("Transpose", Ht, perm=[0, 2, 1]))
    squared = nodes.op("ReduceSum", nodes.op("Mul", HtH, Q), keepdims=0)
    left = nodes.op("Add", nodes.op("Sub", A.norm, nodes.op("Mul", explained, 2.0)), squared)
    left = nodes.op("Div", left, nodes.op("Max", A.norm, np.finfo(np.float32).tiny))
    nodes.op("Max", left, 0.0, out="loss")
    energy = nodes.op("ReduceSum", nodes.op("Mul", Ht, Ht), [0, 2], keepdims=0)
    _, order = nodes.ops("TopK", [energy, [k]], 2)
    W, Ht = (nodes.op("Gather", nodes.op("Squeeze", one, [0]), order, axis=0) for one in (W, Ht))
    nodes.op("Identity", W, out="concepts")
    return _Factors(W, Ht)
