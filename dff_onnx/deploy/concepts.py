"""A bank as a graph: pixels in; heat maps, scores, boxes and losses out.

Everything is relative to the bank's peaks, so that a picture needs no other pictures beside it: the scale of the set
that the concepts come from is part of the file.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto

from dff_onnx.concepts.bank import Bank
from dff_onnx.deploy.boxes import add_mask_boxes
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.least_squares import Gram, add_least_squares, violation
from dff_onnx.deploy.metadata import CONCEPTS
from dff_onnx.deploy.network import output
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.deploy.regions import add_region_boxes

BOXES = {"regions": "boxes", "masks": "mask_boxes"}


def add_concepts(nodes: Nodes, bank: Bank, features: str, picture: Picture, form: Form) -> list[ValueInfoProto]:
    """Adds the concepts of a bank.

    Args:
        nodes: of the graph.
        bank: with concepts.
        features: `(n, c, h, w)`.
        picture: the sizes.
        form: what is wanted.

    Returns:
        the outputs.
    """
    k = len(bank.W)
    highest = np.where(bank.peaks > 0, bank.peaks, 1).astype(np.float32)
    rows = nodes.op("Reshape", features, [0, 0, -1])
    AWt = nodes.op("MatMul", nodes.held(bank.W, CONCEPTS), rows)  # (n, k, h w); a convolution takes half as long again
    flat = nodes.op("Reshape", nodes.op("Transpose", AWt, perm=[1, 0, 2]), [k, -1])
    found = add_least_squares(nodes, flat, Gram.of(bank.W), form.unroll)
    outputs = _losses(nodes, features, found.H, found.AWt, found.gradient, k)
    maps = _maps(nodes, nodes.op("Div", found.H, highest[:, None]), features, k)
    peaks = nodes.op("ReduceMax", maps, [2, 3], keepdims=0)
    nodes.op("Min", peaks, 1.0, out="scores")
    scores = output("scores", TensorProto.FLOAT, ["n", k], "Each concept's peak relative to that of its bank, 0..1.")
    thresholds = np.maximum(bank.thresholds / highest, np.finfo(np.float32).tiny).reshape(1, k, 1)
    outputs = [scores, boxes(nodes, maps, nodes.held(thresholds), picture, form, k), *outputs]
    if form.heatmaps:
        picture.enlarged(nodes, maps, "heatmaps")
        doc = "Coefficients relative to the peak of the bank, at the size of the pictures; may exceed 1."
        outputs.insert(0, output("heatmaps", TensorProto.FLOAT, ["n", k, "h", "w"], doc))
    return outputs


def boxes(
    nodes: Nodes, maps: str, thresholds: str, picture: Picture, form: Form, count: int, before: str = ""
) -> ValueInfoProto:
    """Adds the boxes of maps.

    Args:
        nodes: of the graph.
        maps: `(n, count, h, w)`.
        thresholds: `(n or 1, count, 1)`.
        picture: the sizes.
        form: which boxes.
        count: maps of a picture.
        before: what the output's name begins with.
    """
    name, regions = before + BOXES[form.boxes], form.boxes == "regions"
    (add_region_boxes if regions else add_mask_boxes)(nodes, maps, thresholds, picture, name)
    what = "largest 8-connected region of each mask" if regions else "whole of each mask"
    doc = f"Around the {what}: x0, y0, x1, y1 in pixels, half-open; four zeros where the mask is empty."
    return output(name, TensorProto.INT32, ["n", count, 4], doc)


def _maps(nodes: Nodes, H: str, like: str, k: int) -> str:
    """Coefficients `(k, cells)` as maps `(n, k, h, w)`; `like` has the other sizes."""
    shape = nodes.op("Shape", like)
    picks = [nodes.op("Slice", shape, [start], [end]) for start, end in ((0, 1), (2, 4))]
    stacked = nodes.op("Reshape", H, nodes.op("Concat", [k], *picks, axis=0))
    return nodes.op("Transpose", stacked, perm=[1, 0, 2, 3])


def _losses(nodes: Nodes, features: str, H: str, AWt: str, gradient: str, k: int) -> list[ValueInfoProto]:
    """What is left of each picture, `||A - H W||^2 / ||A||^2`, and how far its coefficients are from the best ones."""
    pictures = nodes.op("Slice", nodes.op("Shape", features), [0], [1])
    by_picture = nodes.op("Concat", [k], pictures, [-1], axis=0)

    def of_pictures(kind: str, values: str) -> str:
        return nodes.op(kind, nodes.op("Reshape", values, by_picture), [0, 2], keepdims=0)

    # ||A - HW||^2 = ||A||^2 + <H, (G H - A W^T) - A W^T>: the difference itself is never made.
    crossed = of_pictures("ReduceSum", nodes.op("Mul", H, nodes.op("Sub", gradient, AWt)))
    norm = nodes.op("ReduceSum", nodes.op("Mul", features, features), [1, 2, 3], keepdims=0)
    tiny = np.finfo(np.float32).tiny
    left = nodes.op("Max", nodes.op("Add", norm, crossed), 0.0)
    nodes.op("Div", left, nodes.op("Max", norm, tiny), out="loss")
    largest = of_pictures("ReduceMax", nodes.op("Abs", AWt))
    wrong = of_pictures("ReduceMax", violation(nodes, H, gradient))
    nodes.op("Div", wrong, nodes.op("Max", largest, tiny), out="kkt")
    return [
        output("loss", TensorProto.FLOAT, ["n"], "Share of the activations that the concepts leave unexplained."),
        output("kkt", TensorProto.FLOAT, ["n"], "Largest projected gradient beside the largest A W^T; 0 is optimal."),
    ]
