"""A network in front of its quantization: the same values by fewer nodes, and the nodes in the form that it needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.version_converter import convert_version

from dff_onnx.backbone.image_input import image_input, input_layout, open_inputs
from dff_onnx.backbone.layouts import layouts
from dff_onnx.backbone.nodes import constants, references
from dff_onnx.backbone.runtime import load_runtime, stdout_is_for_results

OPSET = 13  # the first that knows a scale for each channel

Figures = NDArray[np.float64]


def simplified(model: ModelProto, folder: Path) -> ModelProto:
    """The same values by fewer nodes: what is known is computed, batch norms are folded; `folder` is for files."""
    source = ModelProto()
    source.CopyFrom(model)
    if max((one.version for one in source.opset_import if not one.domain), default=OPSET) < OPSET:
        source = convert_version(source, OPSET)
    inputs = open_inputs(source)  # a constant that may be set anew is none to ONNX Runtime
    del source.graph.input[:]
    source.graph.input.extend(inputs)
    source.ir_version = max(source.ir_version, 4)  # the first that takes constants for no inputs
    for node in source.graph.node:
        while node.input and not node.input[-1]:  # ONNX Runtime moves a Pad into its convolution only without
            node.input.pop()
    runtime, path = load_runtime(), folder / "optimized.onnx"
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # keeps to ONNX's operators
    options.optimized_model_filepath = str(path)
    with stdout_is_for_results():
        runtime.InferenceSession(source.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = loaded(path)
    for number, node in enumerate(made.graph.node):  # the tool tells nodes apart by names, which they need not have
        node.name = f"{node.name or node.op_type}.{number}"
    _join_normalisation(made.graph, image_input(made, folder))
    _give_constants(made.graph)
    return made


def loaded(path: Path) -> ModelProto:
    """What ONNX Runtime wrote, without the domains that it declares and does not use."""
    model: ModelProto = onnx.load(path)
    used = {"", *(node.domain.removeprefix("ai.onnx") for node in model.graph.node)}
    for one in [one for one in model.opset_import if one.domain.removeprefix("ai.onnx") not in used]:
        model.opset_import.remove(one)
    return model


def _join_normalisation(graph: GraphProto, image: ValueInfoProto) -> None:
    """Arithmetic with constants between the image and the first convolution becomes a BatchNormalization.

    ONNX Runtime would move it behind the Transpose of its integer convolutions, and with three channels a pixel side
    by side it takes 25 times as long there.
    """
    held, users, known = constants(graph), users_of(graph), layouts(graph, input_layout(image))
    outputs, tensor, layout = {one.name for one in graph.output}, image.name, known.get(image.name)
    chain, scale, shift = list[NodeProto](), np.ones(3), np.zeros(3)
    while len(users[tensor]) == 1 and tensor not in outputs:
        [node] = users[tensor]
        found = _affine(node, tensor, held, scale, shift) if layout == "NCHW" else None
        if found is not None:
            scale, shift = found
            chain.append(node)
        elif chain or node.op_type not in ("Cast", "Gather", "Transpose"):  # a Gather orders the channels
            break
        tensor, layout = node.output[0], known.get(node.output[0]) if node.op_type == "Transpose" else layout
    if not chain:
        return
    figures = {"scale": scale, "shift": shift, "mean": np.zeros(3), "variance": np.ones(3)}
    tensors = [numpy_helper.from_array(v.astype(np.float32), f"{chain[-1].name}.{key}") for key, v in figures.items()]
    graph.initializer.extend(tensors)
    joined = NodeProto(op_type="BatchNormalization", name=chain[-1].name, output=chain[-1].output)
    joined.input.extend([chain[0].input[0], *(one.name for one in tensors)])
    joined.attribute.append(helper.make_attribute("epsilon", 0.0))
    graph.node.insert(list(graph.node).index(chain[0]), joined)
    for node in chain:
        graph.node.remove(node)


def _affine(
    node: NodeProto, tensor: str, held: Mapping[str, TensorProto], scale: Figures, shift: Figures
) -> tuple[Figures, Figures] | None:
    """Scale and shift of three channels behind a node, given those in front of it; None where it is something else."""
    other = next((name for name in node.input if name != tensor), "")
    ordered = node.op_type in ("Add", "Mul") or (node.op_type in ("Div", "Sub") and node.input[0] == tensor)
    if not ordered or other not in held:
        return None
    values: NDArray[Any] = numpy_helper.to_array(held[other]).astype(np.float64)
    if values.size != 1 and values.shape[-3:] != (3, 1, 1):
        return None
    figures = np.broadcast_to(values.ravel(), 3)
    if node.op_type in ("Add", "Sub"):
        return scale, shift + (figures if node.op_type == "Add" else -figures)
    factor = figures if node.op_type == "Mul" else 1 / figures
    return scale * factor, shift * factor


def users_of(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """The nodes that use each tensor."""
    found: dict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in references(node):
            found[name].append(node)
    return found


def _give_constants(graph: GraphProto) -> None:
    """Weights of its own for every convolution, and a bias, of zeros where it had none; what nobody uses goes."""
    held = constants(graph)
    for node in graph.node:
        if node.op_type == "Conv" and set(node.input[1:]) <= held.keys():
            weights, *bias = (numpy_helper.to_array(held[name]) for name in node.input[1:])
            own = {"weights": weights, "bias": bias[0] if bias else np.zeros(len(weights), np.float32)}
            names = [f"{node.name}.{what}" for what in own]
            graph.initializer.extend(map(numpy_helper.from_array, own.values(), names))
            node.input[:] = [node.input[0], *names]
    users = users_of(graph)
    for unused in [one for one in graph.initializer if one.name not in users]:
        graph.initializer.remove(unused)
