"""Where the channels of each tensor of a graph are: the operators tell it."""

from __future__ import annotations

from onnx import GraphProto, NodeProto

from dff_onnx.backbone.nodes import attribute
from dff_onnx.records import Layout

# Operators that are defined for channels first.
CHANNELS_FIRST = {
    "Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool",
    "BatchNormalization", "InstanceNormalization", "LRN", "DepthToSpace", "SpaceToDepth", "GroupNormalization",
}  # fmt: skip
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
# Operators behind which nothing is known of the axes.
UNTOLD = {"Einsum", "Flatten", "Gather", "GatherND", "Gemm", "Reshape", "Shape", "Squeeze", "Unsqueeze"}


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


def _layout(node: NodeProto, known: dict[str, Layout]) -> Layout | None:
    if node.op_type in CHANNELS_FIRST:
        return "NCHW"
    if node.op_type in UNTOLD:
        return None
    before = next((known[name] for name in node.input if name in known), None)
    if node.op_type != "Transpose":
        return before
    turn = attribute(node, "perm")
    if turn == TO_FIRST and before != "NCHW":
        return "NCHW"
    return "NHWC" if turn == TO_LAST and before != "NHWC" else None
