"""Boxes of whole masks inside a graph, without control flow. `regions` has those of the largest region."""

from __future__ import annotations

from onnx import TensorProto

from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.nodes import Nodes, Value


def add_mask_boxes(nodes: Nodes, maps: str, thresholds: Value, picture: Picture, out: str) -> str:
    """Adds the tight boxes of masks, `(n, m, 4)` int32: `x0, y0, x1, y1`, half-open; four zeros for an empty mask.

    A row of pixels is on where its largest value is, and that one is at a turn (see `Axis`); so is a column.

    Args:
        nodes: of the graph.
        maps: `(n, m, h, w)`.
        thresholds: `(n or 1, m, 1)` float32.
        picture: the sizes.
        out: name of the boxes.
    """
    across, down = (
        axis.weights(nodes, nodes.op("Gather", axis.places, axis.turns(nodes)), turned=turned)
        for axis, turned in ((picture.across, True), (picture.down, False))
    )
    rows = nodes.op("MatMul", picture.rows(nodes, maps), across)
    columns = nodes.op("MatMul", down, picture.columns(nodes, maps))
    y0, y1 = _ends(nodes, nodes.op("ReduceMax", rows, [3], keepdims=0), thresholds)
    x0, x1 = _ends(nodes, nodes.op("ReduceMax", columns, [2], keepdims=0), thresholds)
    box = nodes.op("Concat", x0, y0, x1, y1, axis=2)
    return nodes.op("Cast", box, out=out, to=TensorProto.INT32)


def _ends(nodes: Nodes, largest: str, thresholds: Value) -> tuple[str, str]:
    """Of the largest values `(n, m, size)` of all lines: the first that is on, and the one behind the last."""
    on = nodes.op("Cast", nodes.op("GreaterOrEqual", largest, thresholds), to=TensorProto.FLOAT)
    there = nodes.op("Cast", nodes.op("ReduceMax", on, [2]), to=TensorProto.INT64)
    first = nodes.op("ArgMax", on, axis=2)
    behind = nodes.op("Add", nodes.op("ArgMax", on, axis=2, select_last_index=1), 1)
    return nodes.op("Mul", first, there), nodes.op("Mul", behind, there)
