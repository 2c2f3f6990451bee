"""Shapes and types of a network's tensors for pictures of a size: inferred, or seen by running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from dff_onnx.backbone.image_input import image_input, input_layout, open_inputs
from dff_onnx.backbone.runtime import create_session, runtime_errors
from dff_onnx.errors import ModelError, first_line

Shape = tuple[int, ...]

PROBE = 224
FLOATS = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.BFLOAT16: "bfloat16",
}
# Constants of more bytes are weights, whose values decide no shape.
WEIGHTS = 2**12


@dataclass(frozen=True, slots=True)
class TensorShape:
    """Of one tensor; `dtype` is a floating-point type's name."""

    shape: Shape
    dtype: str


def shapes_of(model: ModelProto, path: Path, size: int) -> dict[str, TensorShape]:
    """Shapes and types of all float tensors.

    Args:
        model: the network.
        path: its file, for the sentence.
        size: height and width of the one picture, where they are free.

    Raises:
        ModelError: when the network has no image input, or shapes cannot be inferred.
    """
    probe = _without_weights(model)
    name = image_input(model, path).name
    _fix(next(source for source in probe.graph.input if source.name == name), size)
    try:
        inferred = onnx.shape_inference.infer_shapes(probe, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: its shapes cannot be inferred: {first_line(error)}") from error
    told = {info.name: info.type.tensor_type for info in (*inferred.value_info, *inferred.output)}
    infos = {name: info for name, info in told.items() if info.HasField("shape")}  # none says nothing, not a scalar
    shapes = {
        name: TensorShape(tuple(axis.dim_value for axis in info.shape.dim), FLOATS[info.elem_type])
        for name, info in infos.items()
        if info.elem_type in FLOATS
    }
    unknown = [name for name, tensor in shapes.items() if 0 in tensor.shape]
    unknown += [name for node in model.graph.node for name in node.output if name and name not in infos]
    return shapes | (_run_shapes(model, unknown, path, size) if unknown else {})


def _run_shapes(model: ModelProto, names: list[str], path: Path, size: int) -> dict[str, TensorShape]:
    """Shapes that depend on values (padding computed in the graph, say)."""
    values = values_at(model, names, path, size)
    return {
        name: TensorShape(v.shape, str(v.dtype))
        for name, v in values.items()
        if isinstance(v, np.ndarray) and v.dtype.kind == "f"
    }


def values_at(model: ModelProto, names: list[str], path: Path, size: int = PROBE) -> dict[str, NDArray[Any]]:
    """Tensors that a network makes of one black picture.

    Args:
        model: the network.
        names: of tensors.
        path: its file, for the sentence.
        size: height and width of the picture, where they are free.

    Raises:
        ModelError: when ONNX Runtime cannot run it.
    """
    probe = ModelProto()
    probe.CopyFrom(model)
    source = image_input(probe, path)
    _fix(source, size)
    kind = np.uint8 if source.type.tensor_type.elem_type == TensorProto.UINT8 else np.float32
    picture = np.zeros([axis.dim_value for axis in source.type.tensor_type.shape.dim], kind)
    # Further inputs (a flag for training, say) decide no shape.
    further = {i.name: _nothing(i) for i in open_inputs(probe) if i.name != source.name}
    del probe.graph.output[:]
    probe.graph.output.extend(ValueInfoProto(name=name) for name in names)
    try:
        session = create_session(probe.SerializeToString(), "cpu")
        return dict(zip(names, session.run(names, {source.name: picture, **further}), strict=True))
    except runtime_errors() as error:
        raise ModelError(f"{path}: ONNX Runtime cannot run it at the probe size: {str(error)[:200]}") from error


def _without_weights(model: ModelProto) -> ModelProto:
    """A copy for shape inference: large constants become inputs, what the file says of shapes goes."""
    graph = model.graph
    copy = ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    copy.graph.name = graph.name
    copy.graph.node.extend(graph.node)
    large = [t for t in graph.initializer if len(t.raw_data) > WEIGHTS or len(t.float_data) * 4 > WEIGHTS]
    names = {tensor.name for tensor in large}
    copy.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name not in names)
    copy.graph.sparse_initializer.extend(graph.sparse_initializer)
    copy.graph.input.extend(open_inputs(model))
    copy.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large)
    copy.graph.output.extend(ValueInfoProto(name=output.name, type=output.type) for output in graph.output)
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    return copy


def _nothing(source: ValueInfoProto) -> NDArray[Any]:
    tensor = source.type.tensor_type
    shape = [axis.dim_value or 1 for axis in tensor.shape.dim]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def fixed_shape(source: ValueInfoProto, size: int) -> tuple[int, ...]:
    """The shape of an image input for one picture of that size; axes of fixed size stay as they are."""
    axes = source.type.tensor_type.shape.dim
    wanted = (1, size, size, 3) if input_layout(source) == "NHWC" else (1, 3, size, size)
    return tuple(axis.dim_value or value for axis, value in zip(axes, wanted, strict=True))


def _fix(source: ValueInfoProto, size: int) -> None:
    for axis, value in zip(source.type.tensor_type.shape.dim, fixed_shape(source, size), strict=True):
        axis.dim_value = value
