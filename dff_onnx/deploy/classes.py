"""Class maps inside a graph: what `dff-onnx cam` makes of a classifier whose head looks at the features."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto

from dff_onnx.arrays import to_numpy
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.network import output
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.linear_head import LinearHead

MAPPED = 5  # classes of each picture
POOLS = {"mean": "ReduceMean", "max": "ReduceMax", "sum": "ReduceSum"}


def add_classes(nodes: Nodes, head: LinearHead, features: str, picture: Picture, form: Form) -> list[ValueInfoProto]:
    """Adds the scores of all classes, the best five, and their maps.

    Args:
        nodes: of the graph.
        head: that looks at the features.
        features: `(n, c, h, w)`.
        picture: the sizes.
        form: whether maps are wanted.

    Returns:
        the outputs.
    """
    classes, mapped = head.classes, min(MAPPED, head.classes)
    weights = nodes.held(np.ascontiguousarray(to_numpy(head.weights), np.float32))
    bias = nodes.held(np.ascontiguousarray(to_numpy(head.bias), np.float32))
    rows = nodes.op("Reshape", features, [0, 0, -1])
    nodes.op("Identity", _scores(nodes, head, weights, bias, rows), out="class_scores")
    _, best = nodes.ops("TopK", ["class_scores", [mapped]], [nodes.named("best"), "classes"], axis=1)
    found = [
        output("class_scores", TensorProto.FLOAT, ["n", classes], "Scores of all classes, before any softmax."),
        output(best, TensorProto.INT64, ["n", mapped], "The best classes of each picture, best first."),
    ]
    if form.heatmaps:
        chosen = nodes.op("MatMul", nodes.op("Gather", weights, "classes", axis=0), rows)
        if head.rectified:
            own = nodes.op("Unsqueeze", nodes.op("Gather", bias, "classes", axis=0), [2])
            chosen = nodes.op("Relu", nodes.op("Add", chosen, own))
        grid = nodes.op("Slice", nodes.op("Shape", features), [2], [4])
        maps = nodes.op("Reshape", chosen, nodes.op("Concat", [0, mapped], grid, axis=0))
        picture.enlarged(nodes, maps, "class_heatmaps")
        doc = "The class maps of these classes, in units of the score, at the size of the pictures; may be negative."
        found.append(output("class_heatmaps", TensorProto.FLOAT, ["n", mapped, "h", "w"], doc))
    return found


def _scores(nodes: Nodes, head: LinearHead, weights: str, bias: str, rows: str) -> str:
    """Of all classes, `(n, classes)`; see `LinearHead`."""
    pool = POOLS[head.pool]
    if head.rectified:
        maps = nodes.op("Add", nodes.op("MatMul", weights, rows), nodes.op("Unsqueeze", bias, [1]))
        return nodes.op(pool, nodes.op("Relu", maps), [2], keepdims=0)
    pooled = nodes.op(pool, rows, [2], keepdims=0)
    if head.unit:
        length = nodes.op("ReduceL2", pooled, [1])
        pooled = nodes.op("Div", pooled, nodes.op("Max", length, np.finfo(np.float32).tiny))
    return nodes.op("Gemm", pooled, weights, bias, transB=1)
