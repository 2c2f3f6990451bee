"""Small classifiers, each with its end written in another way: heads that are found, and ends that are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from nets import weights
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

CLASSES, CHANNELS, SIZE = 5, 10, 24
GRID = SIZE // 2
FREE: tuple[Any, ...] = ("n", 3, "h", "w")
FIXED = (1, 3, SIZE, SIZE)

node = helper.make_node


def ints(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


# What every network begins with: conv1, relu1 of ten channels, two pixels a cell.
START = [
    node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
    node("Relu", ["conv1"], ["relu1"], name="rectifier"),
]
# The same as TensorFlow's converter writes it: channels last outside.
LAST = [
    node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
    node("Conv", ["planes", "w1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
    node("Transpose", ["conv1"], ["turned"], perm=[0, 2, 3, 1]),
    node("Relu", ["turned"], ["relu1"]),
]
POOL, FLAT = node("GlobalAveragePool", ["relu1"], ["pooled"], name="gap"), node("Flatten", ["pooled"], ["flat"])
LINEAR = node("Gemm", ["flat", "w", "b"], ["logits"], transB=1, name="fc")
TENSORS = [
    weights("w1", CHANNELS, 3, 3, 3),
    weights("w", CLASSES, CHANNELS, seed=1),
    weights("wt", CHANNELS, CLASSES, seed=2),
    weights("b", CLASSES, seed=3),
    weights("one", 1, seed=4),
    weights("row", 1, CLASSES, seed=5),
    weights("b4", 1, CLASSES, 1, 1, seed=6),
    weights("c1", CLASSES, CHANNELS, 1, 1, seed=7),
    weights("c3", CLASSES, CHANNELS, 3, 3, seed=8),
    weights("c10", CHANNELS, CHANNELS, 1, 1, seed=9),
    weights("large", CLASSES, CHANNELS * GRID * GRID, seed=10),
    weights("square", CLASSES, CLASSES),
    weights("wide", 3 * SIZE * SIZE, CHANNELS),
    weights("thin", CLASSES, 3, 1, 1),
    weights("grouped", 6, CHANNELS // 2, 1, 1),
    weights("column", CLASSES, 1),
    ints("places", 2, 3),
    ints("negative", -2, -1),
    ints("one_axis", 3),
    ints("third", 2),
    ints("middle", 1, 2),
    ints("two", 0, CHANNELS),
]  # fmt: skip


def network(
    *nodes: NodeProto,
    outputs: tuple[str, ...] = ("logits",),
    shape: tuple[Any, ...] = FREE,
    opset: int = 20,
    start: list[NodeProto] = START,
) -> ModelProto:
    made = [*start, *nodes]
    used = {name for one in made for name in one.input}
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor for tensor in TENSORS if tensor.name in used],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    known = onnx.shape_inference.infer_shapes(whole).graph.output
    for output, told in zip(whole.graph.output, known, strict=True):
        output.CopyFrom(told)
    return whole


@dataclass
class Case:
    """Nodes behind relu1, and the head that is to be found."""

    nodes: tuple[NodeProto, ...]
    features: str = "relu1"
    pool: str = "mean"
    rectified: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def reduced(kind: str = "ReduceMean", axes: str = "places", keepdims: int = 0, source: str = "relu1") -> NodeProto:
    return node(kind, [source, axes], ["pooled"], keepdims=keepdims)


MATMUL = node("MatMul", ["pooled", "wt"], ["product"])
CONV1, CONV3 = node("Conv", ["relu1", "c1", "b"], ["maps"]), node("Conv", ["relu1", "c3", "b"], ["maps"], pads=[1] * 4)
RELU = node("Relu", ["maps"], ["rectified"])
BEHIND = node("Conv", ["pooled", "c1", "b"], ["planes"])

CASES = {
    "Gemm, its weights transposed": Case((POOL, FLAT, LINEAR)),
    "Gemm, its weights not transposed": Case((POOL, FLAT, node("Gemm", ["flat", "wt", "b"], ["logits"]))),
    "Gemm with alpha and beta": Case(
        (POOL, FLAT, node("Gemm", ["flat", "w", "b"], ["logits"], transB=1, alpha=0.5, beta=3.0))
    ),
    "Gemm without a bias": Case((POOL, FLAT, node("Gemm", ["flat", "w"], ["logits"], transB=1))),
    "Gemm with one figure for all classes": Case((POOL, FLAT, node("Gemm", ["flat", "wt", "one"], ["logits"]))),
    "Gemm with a row for a bias": Case((POOL, FLAT, node("Gemm", ["flat", "wt", "row"], ["logits"]))),
    "Gemm and a sum behind it": Case(
        (POOL, FLAT, node("Gemm", ["flat", "wt", "b"], ["product"]), node("Add", ["product", "row"], ["logits"]))
    ),
    "ReduceMean with axes as an attribute": Case(
        (
            node("ReduceMean", ["relu1"], ["pooled"], axes=[2, 3], keepdims=0),
            MATMUL,
            node("Add", ["product", "b"], ["logits"]),
        ),
        options={"opset": 13},
    ),
    "ReduceMean with negative axes as an attribute": Case(
        (node("ReduceMean", ["relu1"], ["kept"], axes=[-1, -2]), node("Flatten", ["kept"], ["flat"]), LINEAR),
        options={"opset": 17},
    ),
    "ReduceMean with axes as an input": Case((reduced(), MATMUL, node("Add", ["b", "product"], ["logits"]))),
    "ReduceMean with negative axes as an input": Case(
        (reduced(axes="negative"), MATMUL, node("Add", ["product", "row"], ["logits"]))
    ),
    "ReduceMean that keeps its axes": Case((reduced(keepdims=1), FLAT, LINEAR)),
    "ReduceMean that keeps its axes, and a Reshape": Case(
        (reduced(keepdims=1), node("Reshape", ["pooled", "two"], ["flat"]), LINEAR)
    ),
    "MatMul without a bias": Case((reduced(), node("MatMul", ["pooled", "wt"], ["logits"]))),
    "a convolution behind the pooling": Case((POOL, BEHIND, node("Flatten", ["planes"], ["logits"]))),
    "a convolution behind the pooling, and a sum": Case(
        (POOL, node("Conv", ["pooled", "c1"], ["planes"]), node("Add", ["b4", "planes"], ["biased"]),
         node("Squeeze", ["biased", "places"], ["logits"]))
    ),
    "convolution, ReLU, pooling": Case(
        (CONV1, RELU, node("GlobalAveragePool", ["rectified"], ["pooled"]), node("Flatten", ["pooled"], ["logits"])),
        rectified=True,
    ),
    "convolution, ReLU, maximum": Case(
        (CONV1, RELU, node("GlobalMaxPool", ["rectified"], ["logits"])), pool="max", rectified=True
    ),
    "convolution, ReLU, sum": Case(
        (CONV1, RELU, node("ReduceSum", ["rectified", "places"], ["logits"])), pool="sum", rectified=True
    ),
    "convolution, pooling": Case((CONV1, node("GlobalAveragePool", ["maps"], ["logits"]))),
    "convolution, pooling, a sum": Case(
        (CONV1, node("GlobalAveragePool", ["maps"], ["pooled"]), node("Add", ["pooled", "b4"], ["logits"]))
    ),
    "convolution, ReLU, pooling, a sum": Case(
        (CONV1, RELU, node("GlobalAveragePool", ["rectified"], ["pooled"]), node("Add", ["pooled", "b4"], ["logits"])),
        features="rectified",
    ),
    "a convolution of nine cells, pooling": Case((CONV3, node("GlobalAveragePool", ["maps"], ["logits"])), "maps"),
    "a convolution of nine cells, ReLU, pooling": Case(
        (CONV3, RELU, node("GlobalAveragePool", ["rectified"], ["logits"])), "rectified"
    ),
    "convolution, maximum": Case((CONV1, node("GlobalMaxPool", ["maps"], ["logits"])), "maps", "max"),
    "convolution, sum": Case((CONV1, node("ReduceSum", ["maps", "places"], ["logits"])), "maps", "sum"),
    "maximum, Gemm": Case((node("GlobalMaxPool", ["relu1"], ["pooled"]), FLAT, LINEAR), pool="max"),
    "ReduceMax, Gemm": Case((reduced("ReduceMax", keepdims=1), FLAT, LINEAR), pool="max"),
    "ReduceSum, Gemm": Case((reduced("ReduceSum", "negative", 1), FLAT, LINEAR), pool="sum"),
    "a window that is the grid of a fixed size": Case(
        (node("AveragePool", ["relu1"], ["pooled"], kernel_shape=[GRID, GRID]), FLAT, LINEAR),
        options={"shape": FIXED},
    ),
    "a window of maxima that is the grid of a fixed size": Case(
        (node("MaxPool", ["relu1"], ["pooled"], kernel_shape=[GRID, GRID], strides=[2, 2]), FLAT, LINEAR),
        pool="max",
        options={"shape": FIXED},
    ),
    "channels last": Case(
        (reduced(axes="middle"), MATMUL, node("Add", ["product", "b"], ["logits"])),
        options={"start": LAST, "shape": ("n", "h", "w", 3)},
    ),
    "channels last, kept axes": Case(
        (reduced(axes="middle", keepdims=1), FLAT, LINEAR), options={"start": LAST, "shape": ("n", "h", "w", 3)}
    ),
    "channels last, a linear layer of each place": Case(
        (node("MatMul", ["relu1", "wt"], ["maps"]), node("ReduceMean", ["maps", "middle"], ["logits"], keepdims=0)),
        features="maps",
        options={"start": LAST, "shape": ("n", "h", "w", 3)},
    ),
    "what changes no value in between": Case(
        (node("Dropout", ["relu1"], ["dropped"]), POOL, node("Identity", ["pooled"], ["same"]),
         node("Flatten", ["same"], ["flattened"]), node("Dropout", ["flattened"], ["kept"]),
         node("Cast", ["kept"], ["flat"], to=TensorProto.FLOAT),
         node("Gemm", ["flat", "w", "b"], ["product"], transB=1), node("Identity", ["product"], ["logits"]))
    ),
    "weights in Constant nodes": Case(
        (node("Constant", [], ["cw"], value=weights("held", CHANNELS, CLASSES, seed=1)),
         node("Constant", [], ["cb"], value_floats=[1.0, -2.0, 3.0, 0.5, 0.0]),
         node("Constant", [], ["axes"], value_ints=[2, 3]),
         reduced(axes="axes"), node("MatMul", ["pooled", "cw"], ["product"]),
         node("Add", ["product", "cb"], ["logits"]))
    ),
    "weights that nodes transpose": Case(
        (POOL, FLAT, node("Transpose", ["w"], ["turned_w"], perm=[1, 0]),
         node("MatMul", ["flat", "turned_w"], ["product"]), node("Add", ["product", "b"], ["logits"]))
    ),
    "weights that nodes make float32": Case(
        (POOL, FLAT,
         node("Constant", [], ["half"], value=numpy_helper.from_array(numpy_helper.to_array(TENSORS[1]).astype("f2"))),
         node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT),
         node("Gemm", ["flat", "whole", "b"], ["logits"], transB=1))
    ),
    "features that pass a gate which pools": Case(
        (node("GlobalAveragePool", ["relu1"], ["squeezed"]), node("Conv", ["squeezed", "c10"], ["excited"]),
         node("Sigmoid", ["excited"], ["gate"]), node("Mul", ["relu1", "gate"], ["gated"]),
         node("GlobalAveragePool", ["gated"], ["pooled"]), FLAT, LINEAR),
        features="gated",
    ),
}  # fmt: skip

LARGE = node("Gemm", ["flat", "large", "b"], ["logits"], transB=1, name="fc")
HIDDEN = (POOL, FLAT, node("Gemm", ["flat", "wt", "b"], ["hidden"]), node("Relu", ["hidden"], ["act"]),
          node("Gemm", ["act", "square"], ["logits"], name="last"))  # fmt: skip
WITHOUT: dict[str, tuple[str, tuple[NodeProto, ...], dict[str, Any]]] = {
    "VGG's": (
        "Gemm 'fc' does not follow a pooling over all places: Relu 'rectifier' lies before it; take another --method",
        (node("Flatten", ["relu1"], ["flat"]), LARGE),
        {"shape": FIXED},
    ),
    "two layers behind the pooling": (
        "Gemm 'last' does not follow a pooling over all places: Relu 'act' lies before it",
        HIDDEN,
        {},
    ),
    "no grid": (
        "has no layer with a grid of features, so there is no place to map",
        (node("Flatten", ["image"], ["all"]), node("MatMul", ["all", "wide"], ["flat"]), node("Relu", ["flat"], ["on"]),
         node("Gemm", ["on", "w", "b"], ["logits"], transB=1)),
        {"start": [], "shape": FIXED},
    ),
    "the picture pooled": (
        "has no layer with a grid of features",
        (node("GlobalAveragePool", ["image"], ["pooled"]), node("Conv", ["pooled", "thin"], ["logits"])),
        {"start": []},
    ),
    "features only": (r"has no output with one score a class \(relu1\): it is a backbone without a classifier", (),
                      {"outputs": ("relu1",)}),
    "features of a batch, and of nothing else": (
        "Mul 'logits', which is no linear layer",
        (POOL, FLAT, node("Gemm", ["flat", "wt"], ["product"]), node("Mul", ["product", "b"], ["logits"])),
        {"shape": (4, 3, SIZE, SIZE)},
    ),
    "one axis pooled": (
        "ReduceMax 'flat' lies before it",
        (reduced(axes="one_axis"), node("ReduceMax", ["pooled", "third"], ["flat"], keepdims=0), LINEAR),
        {},
    ),
    "a window that leaves cells out": (
        "AveragePool 'pooled' lies before it",
        (node("AveragePool", ["relu1"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]), FLAT, LINEAR),
        {"shape": FIXED},
    ),
    "a window with a border": (
        "AveragePool 'pooled' lies before it",
        (node("AveragePool", ["relu1"], ["pooled"], kernel_shape=[GRID + 2] * 2, pads=[1] * 4, count_include_pad=1),
         FLAT, LINEAR),
        {"shape": FIXED},
    ),
    "a window as large as the grid at every place": (
        "AveragePool 'same' lies before it",
        (node("AveragePool", ["relu1"], ["same"], kernel_shape=[GRID] * 2, auto_pad="SAME_UPPER"),
         node("Flatten", ["same"], ["flat"]), LARGE),
        {"shape": FIXED},
    ),
    "a convolution in groups": (
        "Conv 'planes' does not treat each place alike and by itself",
        (POOL, node("Conv", ["pooled", "grouped"], ["planes"], group=2), node("Flatten", ["planes"], ["logits"])),
        {},
    ),
    "a convolution in steps": (
        "Conv 'logits' does not treat each place alike and by itself",
        (POOL, node("Conv", ["pooled", "c1"], ["logits"], strides=[2, 2])),
        {},
    ),
    "features that are turned around": (
        "Gemm 'logits' does not treat each place alike and by itself",
        (POOL, FLAT, node("Gemm", ["flat", "wt"], ["logits"], transA=1)),
        {"shape": (CHANNELS, 3, SIZE, SIZE)},
    ),
    "a sum that the picture decides": (
        "Gemm 'fc', which is no linear layer",
        (POOL, FLAT, node("Gemm", ["flat", "wt"], ["shortcut"]),
         node("Gemm", ["flat", "w", "shortcut"], ["logits"], transB=1, name="fc")),
        {},
    ),
    "weights that the picture decides": (
        "MatMul 'logits', which is no linear layer",
        (POOL, FLAT, node("Transpose", ["flat"], ["turned"]), node("MatMul", ["flat", "turned"], ["logits"])),
        {},
    ),
    "weights from the left": (
        "MatMul 'product', which is no linear layer",
        (POOL, FLAT, node("Transpose", ["flat"], ["turned"]), node("MatMul", ["w", "turned"], ["product"]),
         node("Transpose", ["product"], ["logits"])),
        {"shape": FIXED, "outputs": ("product",)},
    ),
    "a sum that makes more of it": (
        "Add 'logits' adds more than one figure a class",
        (POOL, FLAT, node("Gemm", ["flat", "wt"], ["product"]), node("Add", ["product", "column"], ["logits"])),
        {"shape": FIXED},
    ),
    "a constant": (
        "'logits' comes from Constant 'logits', which is no linear layer",
        (node("Constant", [], ["logits"], value_floats=[1.0, 2.0]),),
        {},
    ),
}  # fmt: skip
