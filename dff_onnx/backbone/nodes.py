"""What the nodes of a graph say: attributes, the tensors they use, the constants they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper


def attribute(node: NodeProto, name: str) -> Any:
    """Of a node, None where it has none of that name."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)


def references(node: NodeProto) -> list[str]:
    """The tensors that a node uses, those that its inner graphs take from outside included."""
    names = [name for name in node.input if name]
    for kept in node.attribute:
        for graph in (kept.g, *kept.graphs):
            names += [name for inner in graph.node for name in references(inner)]
            names += [output.name for output in graph.output]  # an inner graph may hand an outer tensor on
    return names


def constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Every tensor that is written into the graph: initializers, and what Constant nodes hold, text left out."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and (held := constant_of(node)) is not None:
            found[node.output[0]] = held
    return found


def constant_of(node: NodeProto) -> TensorProto | None:
    """What a Constant node holds, as a tensor also where it is written as figures; None for text and sparse tensors."""
    for kept in node.attribute:
        if kept.name == "value":
            tensor: TensorProto = kept.t
            return tensor
        if kept.name in ("value_float", "value_floats", "value_int", "value_ints"):
            figures = np.float32 if "float" in kept.name else np.int64
            made: TensorProto = numpy_helper.from_array(np.asarray(helper.get_attribute_value(kept), figures))
            return made
    return None
