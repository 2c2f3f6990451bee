"""Where the channels of each tensor of a graph are, and whether its fixed axes may be freed: facts of its operators."""

from __future__ import annotations

import math
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from dff_onnx.backbone.image_input import input_layout, open_inputs
from dff_onnx.records import Layout

# Operators that are defined for channels first.
CHANNELS_FIRST = {
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool",
    "BatchNormalization", "InstanceNormalization", "LRN", "DepthToSpace", "SpaceToDepth", "GroupNormalization",
}  # fmt: skip
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
# Operators that treat every picture, and every place of it, alike, whatever the size.
ALIKE = CHANNELS_FIRST | {
    "Abs", "Add", "Cast", "Celu", "Clip", "Concat", "Constant", "DequantizeLinear", "Div", "Dropout", "Elu", "Erf",
    "Exp", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LayerNormalization", "LeakyRelu", "MatMul", "Max", "Mean",
    "Min", "Mish", "Mul", "Neg",
    "PRelu", "Pad", "Pow", "QuantizeLinear", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Tanh",
    "Transpose",
}  # fmt: skip
# Those of them whose constants are broadcast against the features.
BROADCAST = {"Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum"}


def layouts(graph: GraphProto, image: Layout) -> dict[str, Layout]:
    """The layout of every tensor that the operators tell; a transposition turns it, most others keep it.

    Args:
        graph: of the network.
        image: layout of its image input.
    """
    given = {tensor.name for tensor in graph.initializer}
    found: dict[str, Layout] = {source.name: image for source in graph.input if source.name not in given}
    for node in graph.node:
        layout = _layout(node, found)
        if layout:
            found.update(dict.fromkeys(node.output, layout))
    return found


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
    if not _alike_everywhere(model.graph, layout):
        return False
    for axis, name in zip(free, ("n", "h", "w"), strict=True):
        if axis.dim_value:
            axis.dim_param = name
    del model.graph.value_info[:]  # they say the fixed sizes
    return True


def _layout(node: NodeProto, known: dict[str, Layout]) -> Layout | None:
    if node.op_type in CHANNELS_FIRST:
        return "NCHW"
    before = next((known[name] for name in node.input if name in known), None)
    if node.op_type != "Transpose":
        return before
    turn = _attribute(node, "perm")
    if turn == TO_FIRST and before != "NCHW":
        return "NCHW"
    return "NHWC" if turn == TO_LAST and before != "NHWC" else None


def _alike_everywhere(graph: GraphProto, image: Layout) -> bool:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            shapes.update((node.output[0], tuple(a.t.dims)) for a in node.attribute if a.name == "value")
    known = layouts(graph, image)
    return all(_alike(node, shapes, known, graph) for node in graph.node)


def _alike(node: NodeProto, shapes: dict[str, tuple[int, ...]], known: dict[str, Layout], graph: GraphProto) -> bool:
    if node.op_type not in ALIKE or node.domain not in ("", "ai.onnx", "com.microsoft"):
        return False
    channel = 1 if known.get(node.output[0]) == "NCHW" else 3
    match node.op_type:
        case "Transpose":
            return known.get(node.output[0]) is not None
        case "Concat":
            axis = _attribute(node, "axis")
            return isinstance(axis, int) and axis % 4 == channel
        case "LayerNormalization":  # along the channels, which lie last
            return channel == 3 and _attribute(node, "axis") in (None, -1, 3)
        case "MatMul":  # a linear layer of the channels
            return channel == 3 and len(shapes.get(node.input[1], ())) == 2 and node.input[0] in known
        case "Pad":
            return _pads_places_only(node, graph, channel)
        case kind if kind in BROADCAST:
            return all(_same_everywhere(shapes[name], channel) for name in node.input if name in shapes)
    return True


def _same_everywhere(shape: tuple[int, ...], channel: int) -> bool:
    """Whether a constant has one value, or one a channel."""
    full = (1,) * (4 - len(shape)) + shape
    return len(full) == 4 and math.prod(full) == full[channel]


def _pads_places_only(node: NodeProto, graph: GraphProto, channel: int) -> bool:
    pads = _attribute(node, "pads")
    if pads is None:
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        for maker in graph.node:
            if maker.op_type == "Constant":
                tensors.update((maker.output[0], a.t) for a in maker.attribute if a.name == "value")
        if len(node.input) < 2 or node.input[1] not in tensors:
            return False
        pads = numpy_helper.to_array(tensors[node.input[1]]).tolist()
    return len(pads) == 8 and not any(pads[axis] for axis in (0, 4, channel, channel + 4))


def _attribute(node: NodeProto, name: str) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)
