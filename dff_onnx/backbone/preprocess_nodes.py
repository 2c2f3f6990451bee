"""The graph's input, and the nodes that turn pixels into what the network was trained on."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from dff_onnx.backbone.graph_builder import GraphBuilder
from dff_onnx.errors import UsageError
from dff_onnx.records import Preprocessing

INPUT = "image"  # the tensor that a network's first step takes

AXES: dict[str, list[str | int]] = {"NHWC": ["n", "h", "w", 3], "NCHW": ["n", 3, "h", "w"]}


def graph_input(preprocessing: Preprocessing) -> ValueInfoProto:
    """`image`: uint8 or float32, channels last or first; batch, height and width are free."""
    element = TensorProto.UINT8 if preprocessing.dtype == "uint8" else TensorProto.FLOAT
    return helper.make_tensor_value_info(INPUT, element, AXES[preprocessing.layout])


def add_preprocessing(builder: GraphBuilder, preprocessing: Preprocessing, source: str = INPUT) -> str:
    """Adds the nodes between the input, or a tensor like it, and the first convolution; names the last tensor.

    With uint8 input that is `(x * scale - mean) / std`, written `(x - mean / scale) * (scale / std)` to need two nodes,
    after reordering the channels for a network trained on BGR. None of it is folded into the first convolution:
    its zero padding means pixels of the mean colour, and a folded bias would make them black.
    """
    if preprocessing.dtype == "uint8":
        cast = helper.make_tensor_value_info("pixels.float", TensorProto.FLOAT, AXES[preprocessing.layout])
        source = builder.node("Cast", [source], cast, to=TensorProto.FLOAT)
    if preprocessing.layout == "NHWC":
        source = builder.node("Transpose", [source], _planes("pixels.planes"), perm=[0, 3, 1, 2])
    if preprocessing.dtype == "uint8":
        source = _normalisation(builder, preprocessing, source)
    return source


def _normalisation(builder: GraphBuilder, preprocessing: Preprocessing, source: str) -> str:
    if preprocessing.channels == "BGR":
        order = builder.constant("pixels.order", np.array([2, 1, 0], np.int64))
        source = builder.node("Gather", [source, order], _planes("pixels.bgr"), axis=1)
    with np.errstate(over="ignore"):
        mean = (np.array(preprocessing.mean) / preprocessing.scale).astype(np.float32)
        scale = (preprocessing.scale / np.array(preprocessing.std)).astype(np.float32)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise UsageError(
            f"mean {preprocessing.mean}, std {preprocessing.std} and scale {preprocessing.scale} leave float32"
        )
    constants = (
        builder.constant("pixels.mean", mean[:, None, None]),
        builder.constant("pixels.scale", scale[:, None, None]),
    )
    source = builder.node("Sub", [source, constants[0]], _planes("pixels.centred"))
    return builder.node("Mul", [source, constants[1]], _planes("pixels.normalised"))


def _planes(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, AXES["NCHW"])
