"""Which tensors of a graph are provably never negative.

A proof walks the graph once in order: an operator whose result is never negative starts one, operators that keep a
sign carry it on. What cannot be proved may still be non-negative; a run then looks at the values.
"""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.nodes import constants

# Never negative, whatever goes in.
ALWAYS = {
    "Abs", "Exp", "HardSigmoid", "ReduceL1", "ReduceL2", "ReduceSumSquare", "Relu", "Sigmoid",
    "Softmax", "Softplus", "Sqrt",
}  # fmt: skip
# Not negative when their first input is not: pooling, averages, maxima, selections, moves.
FIRST = {
    "AveragePool", "Cast", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GlobalAveragePool",
    "GlobalMaxPool", "Identity", "LRN", "LpPool", "MaxPool", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
# Not negative when all their inputs are not.
EVERY = {"Add", "Concat", "Conv", "Div", "Gemm", "MatMul", "Mean", "Min", "Mul", "Pow", "Sum"}
UNSIGNED = {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64, TensorProto.BOOL}


def nonnegative_tensors(graph: GraphProto) -> frozenset[str]:
    """Names of the tensors that the graph proves to be `>= 0`.

    Args:
        graph: nodes in topological order, as ONNX demands.
    """
    held = constants(graph)
    proved = {name for name, tensor in held.items() if _constant_is(tensor)}
    proved |= {source.name for source in graph.input if source.type.tensor_type.elem_type in UNSIGNED}
    for node in graph.node:
        if _proves(node, proved, held):
            proved |= set(node.output)
    return frozenset(proved)


def _proves(node: NodeProto, proved: set[str], held: dict[str, TensorProto]) -> bool:
    inputs = [name for name in node.input if name]
    match node.op_type:
        case "Clip":
            return _clips(node, held) or (bool(inputs) and set(inputs[:1]) <= proved)
        case "Max":
            return any(name in proved for name in inputs)
        case "Resize" | "Upsample":
            # Cubic interpolation overshoots.
            return inputs[0] in proved and _text(node, "mode", "nearest") in ("nearest", "linear", "bilinear")
        case "Pad":
            constant = _text(node, "mode", "constant") == "constant"
            value = inputs[2] if len(inputs) > 2 else None
            return inputs[0] in proved and (not constant or value is None or value in proved)
        case "QuantizeLinear":
            return _quantized_type(node, held) in UNSIGNED
        case "DequantizeLinear":
            # (x - zero point) * scale: what was cut off below zero when it was quantized is zero now.
            zero = inputs[2] if len(inputs) > 2 else None
            return set(inputs[:2]) <= proved and (zero is None or _is_zero(held.get(zero)))
        case kind if kind in FIRST:
            return bool(inputs) and inputs[0] in proved
        case kind if kind in EVERY:
            return bool(inputs) and all(name in proved for name in inputs)
        case kind:
            return kind in ALWAYS


def _clips(node: NodeProto, held: dict[str, TensorProto]) -> bool:
    """Whether the lower bound, an input since opset 11 and an attribute before, is not negative."""
    if len(node.input) > 1 and node.input[1] in held:
        return _constant_is(held[node.input[1]])
    return any(a.name == "min" and helper.get_attribute_value(a) >= 0 for a in node.attribute)


def _quantized_type(node: NodeProto, held: dict[str, TensorProto]) -> int:
    """The type that a QuantizeLinear gives: its zero point's; without one an attribute since opset 21, else uint8.

    Undefined where the zero point is computed.
    """
    if len(node.input) > 2 and node.input[2]:
        zero = held.get(node.input[2])
        return zero.data_type if zero is not None else TensorProto.UNDEFINED
    return next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), TensorProto.UINT8)


def _is_zero(tensor: TensorProto | None) -> bool:
    return tensor is not None and _constant_is(tensor) and not np.any(numpy_helper.to_array(tensor))


def _constant_is(tensor: TensorProto) -> bool:
    """Whether no value of a constant is below zero."""
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return False
    try:
        values = numpy_helper.to_array(tensor)
        return bool(np.all(values >= 0))
    except (KeyError, TypeError, ValueError):  # a kind of number that NumPy does not know or compare
        return False


def _text(node: NodeProto, name: str, default: str) -> str:
    return next((a.s.decode("ascii", "replace") for a in node.attribute if a.name == name), default)
