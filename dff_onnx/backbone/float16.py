"""Networks in half precision, by ONNX Runtime's own tool; what it makes is compared with what it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from dff_onnx.backbone.image_input import image_input
from dff_onnx.backbone.nodes import constant_of, references
from dff_onnx.backbone.runtime import create_session, load_runtime, runtime_errors
from dff_onnx.backbone.shapes import PROBE, fixed_shape
from dff_onnx.errors import ModelError, first_line

# Difference of the features in float16 from those in float32, of their length; real networks have 0.002.
MOST = 0.05
QUANTIZERS = ["QuantizeLinear", "DequantizeLinear"]


def halved(model: ModelProto, path: Path, size: int = PROBE) -> ModelProto:
    """The network with weights and arithmetic in float16; input and outputs keep their types.

    Args:
        model: the network.
        path: its file, for the sentence.
        size: height and width of the picture that both are tried on.

    Raises:
        ModelError: when it cannot be converted, or gives something else then.
    """
    load_runtime()
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    source = ModelProto()
    source.CopyFrom(model)
    _figures_as_tensors(source.graph)
    invalid: type[Exception] = onnx.checker.ValidationError
    refused: tuple[type[Exception], ...] = (invalid, AttributeError, KeyError, TypeError, ValueError, *runtime_errors())
    try:
        made: ModelProto = convert_float_to_float16(
            source, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *QUANTIZERS]
        )
        _sort(made.graph)
        onnx.checker.check_model(made)
        difference = _difference(model, made, path, size)
    except refused as error:
        raise ModelError(f"{path}: cannot be made float16: {first_line(error)}") from error
    if not difference <= MOST:
        raise ModelError(
            f"{path}: differs in float16 by {difference:.1%}: its values leave the range of "
            "float16, or need more digits; leave out --float16"
        )
    return made


def _figures_as_tensors(graph: GraphProto) -> None:
    """Constants written as figures become tensors, which the tool knows."""
    for node in graph.node:
        held = constant_of(node) if node.op_type == "Constant" else None
        if held is not None:
            node.attribute[0].CopyFrom(onnx.helper.make_attribute("value", held))


def _sort(graph: GraphProto) -> None:
    """Puts every node behind those whose tensors it uses; the tool adds its casts at the end."""
    waiting = list(graph.node)
    made = {name for node in waiting for name in node.output}
    ready: set[str] = set()
    ordered: list[NodeProto] = []
    while waiting:
        able = [node for node in waiting if all(name in ready or name not in made for name in references(node))]
        if not able:
            raise ValueError("its nodes go round in a circle")
        ordered += able
        ready.update(name for node in able for name in node.output)
        taken = {id(node) for node in able}
        waiting = [node for node in waiting if id(node) not in taken]
    copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _difference(model: ModelProto, made: ModelProto, path: Path, size: int) -> float:
    """The largest difference between outputs of both for one picture of noise, of their length."""
    source = image_input(model, path)
    shape, rng = fixed_shape(source, size), np.random.default_rng(0)
    pixels = source.type.tensor_type.elem_type == TensorProto.UINT8
    values = rng.integers(0, 256, shape, np.uint8) if pixels else rng.normal(0, 1, shape).astype(np.float32)
    runs = [create_session(m.SerializeToString(), "cpu").run(None, {source.name: values}) for m in (model, made)]
    pairs = [[np.ravel(v).astype(np.float64) for v in pair] for pair in zip(*runs, strict=True)]
    differences = [np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-300) for a, b in pairs]
    return float(np.max(differences))  # which keeps what is no number
