"""Fixed axes of a network are freed where its operators prove that any size will do.

Every operator between the image and the layer must treat all pictures, and all places of them, alike, and no constant
may have the shape of a grid. A file that merely runs at another size may compute something else there.
"""

from __future__ import annotations

import math
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from dff_onnx.backbone.image_input import input_layout, open_inputs
from dff_onnx.backbone.lattice import WINDOWS
from dff_onnx.backbone.layouts import CHANNELS_FIRST, layouts
from dff_onnx.backbone.nodes import attribute, constants
from dff_onnx.backbone.shapes import PROBE, shapes_of
from dff_onnx.errors import ModelError
from dff_onnx.records import Layout

# Operators that treat every picture, and every place of it, alike, whatever the size.
ALIKE = CHANNELS_FIRST | {
    "Abs", "Add", "Cast", "Celu", "Clip", "Concat", "Constant", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf",
    "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LayerNormalization", "LeakyRelu", "MatMul", "Max", "Mean",
    "Min", "Mish", "Mul", "Neg", "PRelu", "Pad", "Pow", "QuantizeLinear", "Relu", "Selu", "Sigmoid", "Softplus",
    "Sqrt", "Sub", "Sum", "Tanh", "Transpose",
}  # fmt: skip
# Those of them whose further inputs are parameters; constants of all others are broadcast against the features.
PARAMETERS = {
    "BatchNormalization", "Clip", "Conv", "ConvTranspose", "DequantizeLinear", "Dropout", "GroupNormalization",
    "InstanceNormalization", "LayerNormalization", "MatMul", "Pad", "QuantizeLinear",
}  # fmt: skip

# What is known of the constants of a graph; None where a constant is computed.
Constants = dict[str, TensorProto | None]


def free_axes(model: ModelProto) -> bool:
    """Frees batch, height and width of a network's image input, where its operators prove that any will do.

    A file exported for one picture of 224 x 224 then takes batches of any size. Every operator must treat all pictures
    and all places alike, and no constant may have the shape of a fixed grid.

    Returns:
        whether they are free now, or were.
    """
    inputs = open_inputs(model)
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        return False
    layout = input_layout(inputs[0])
    axes = inputs[0].type.tensor_type.shape.dim
    free = [axes[axis] for axis in ((0, 2, 3) if layout == "NCHW" else (0, 1, 2))]
    if not any(axis.dim_value for axis in free):
        return True
    if not _alike_everywhere(model.graph, layout) or not _windows_are_parts(model):
        return False
    for axis, name in zip(free, ("n", "h", "w"), strict=True):
        if axis.dim_value:
            axis.dim_param = name
    del model.graph.value_info[:]  # they say the fixed sizes
    return True


def _alike_everywhere(graph: GraphProto, image: Layout) -> bool:
    fixed: Constants = {sparse.values.name: None for sparse in graph.sparse_initializer} | constants(graph)
    known = layouts(graph, image)
    for node in graph.node:
        inputs = [name for name in node.input if name]
        if node.op_type == "Constant":
            fixed.setdefault(node.output[0], None)
        elif inputs and all(name in fixed for name in inputs):
            fixed |= dict.fromkeys(node.output)
        elif not _alike(node, fixed, known):
            return False
    return True


def _windows_are_parts(model: ModelProto) -> bool:
    """Whether no window covers its whole grid: that is a global pooling, and would be none at another size."""
    windows = [node for node in model.graph.node if node.op_type in WINDOWS]
    try:
        shapes = shapes_of(model, Path(), PROBE)
    except ModelError:
        return False
    for node in windows:
        after, before = shapes.get(node.output[0]), shapes.get(node.input[0])
        if after is None or (math.prod(after.shape[2:]) == 1 and (not before or math.prod(before.shape[2:]) > 1)):
            return False
    return True


def _alike(node: NodeProto, fixed: Constants, known: dict[str, Layout]) -> bool:
    layout = known.get(node.output[0])
    if node.op_type not in ALIKE or node.domain not in ("", "ai.onnx", "com.microsoft") or layout is None:
        return False
    channel = 1 if layout == "NCHW" else 3
    if node.op_type not in PARAMETERS:
        here = [fixed[name] for name in node.input if name in fixed]
        if not all(_same_everywhere(tensor, channel) for tensor in here):
            return False
    match node.op_type:
        case "Concat":
            axis = attribute(node, "axis")
            return isinstance(axis, int) and axis % 4 == channel
        case "ConvTranspose":
            return attribute(node, "output_shape") is None
        case "BatchNormalization" | "Dropout":
            return not attribute(node, "training_mode")
        case "LayerNormalization":  # along the channels, which lie last
            return channel == 3 and attribute(node, "axis") in (None, -1, 3)
        case "MatMul":  # a linear layer of the channels
            weights = fixed.get(node.input[1])
            return channel == 3 and weights is not None and len(weights.dims) == 2
        case "Pad":
            return _pads_places_only(node, fixed, channel)
    return True


def _same_everywhere(tensor: TensorProto | None, channel: int) -> bool:
    """Whether a constant has one value, or one a channel."""
    if tensor is None or len(tensor.dims) > 4:
        return False
    full = (1,) * (4 - len(tensor.dims)) + tuple(tensor.dims)
    return math.prod(full) == int(full[channel])


def _pads_places_only(node: NodeProto, fixed: Constants, channel: int) -> bool:
    pads = attribute(node, "pads")
    if pads is None:
        tensor = fixed.get(node.input[1]) if len(node.input) > 1 else None
        pads = numpy_helper.to_array(tensor).tolist() if tensor is not None else []
    return len(pads) == 8 and not any(pads[axis] for axis in (0, 4, channel, channel + 4))
