"""What tensors of a network can feed DFF, and which one a name means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from dff_onnx.backbone.metadata import Metadata
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.runtime import create_session, runtime_errors
from dff_onnx.errors import ModelError

Shape = tuple[int, ...]

PROBE = 224
# Fewer channels than these are pictures, not features.
FEWEST_CHANNELS = 8
GATES = {"Sigmoid", "HardSigmoid"}
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that can feed DFF.

    Attributes:
        name: of the tensor.
        operator: that makes it.
        channels, height, width: at the probe size.
        stride: input pixels per cell.
        nonnegative: whether the graph proves it.
    """

    name: str
    operator: str
    channels: int
    height: int
    width: int
    stride: int
    nonnegative: bool


def list_layers(model: ModelProto, path: Path, size: int = PROBE) -> tuple[Candidate, ...]:
    """Every tensor `(n, c, h, w)` of floats with a grid, in the order of the graph.

    Gates (a sigmoid that only multiplies other features, as in SiLU and squeeze-and-excitation) are no features and
    are left out.

    Args:
        model: the network.
        path: its file, for the sentence.
        size: height and width of the probe.

    Raises:
        ModelError: when the network has no image input, or shapes cannot be inferred.
    """
    shapes, larger = _shapes(model, path, size), _shapes(model, path, 2 * size)
    proved = nonnegative_tensors(model.graph)
    gates = _gates(model)
    found = []
    for node in model.graph.node:
        for name in node.output:
            shape = shapes.get(name, ())
            if len(shape) == 4 and shape[1] >= FEWEST_CHANNELS and min(shape[2:]) > 1 and name not in gates:
                _, channels, height, width = shape
                # Borders cost cells (224 pixels, 13 cells); what twice the picture adds does not suffer from them.
                stride = round(size / max(larger[name][2] - height, 1)) if name in larger else round(size / height)
                found.append(Candidate(name, node.op_type, channels, height, width, stride, name in proved))
    return tuple(found)


def resolve_layer(model: ModelProto, name: str, path: Path) -> str:
    """The tensor that a name means: a tensor's own name, or that of the node that makes it.

    Raises:
        ModelError: when there is none, with the nearest names.
    """
    tensors: list[str] = [output for node in model.graph.node for output in node.output]
    if name in tensors:
        return name
    by_node: dict[str, str] = {node.name: node.output[0] for node in model.graph.node if node.name and node.output}
    if name in by_node:
        return by_node[name]
    metadata = metadata_of(model, path)
    known = [layer.name for layer in metadata.layers] if metadata else tensors
    near = difflib.get_close_matches(name, known, 3, 0.5) or known[-3:]
    raise ModelError(f"{path}: has no layer {name!r}; the nearest: {', '.join(near)} (`dff-onnx layers` lists all)")


def default_layer(model: ModelProto, path: Path) -> str:
    """The layer to take when none is named: the metadata's last, or the only output with a grid that serves.

    Raises:
        ModelError: when neither says it, with candidates.
    """
    metadata = metadata_of(model, path)
    if metadata:
        return metadata.layers[-1].name
    candidates = list_layers(model, path)
    outputs = {output.name for output in model.graph.output}
    grids = [c for c in candidates if c.name in outputs]
    serving = [c.name for c in grids if c.nonnegative] or [c.name for c in grids]
    if len(serving) == 1:
        return serving[0]
    deep = ", ".join(c.name for c in candidates[::-1] if c.nonnegative and c.operator in ("Relu", "Clip", "Concat"))
    found = "several outputs with a grid" if grids else "no output with a grid"
    raise ModelError(
        f"{path}: has {found}, so the layer must be named with --layer; the deepest that serve: "
        f"{_shortened(deep) or 'none'} (`dff-onnx layers` lists all)"
    )


def metadata_of(model: ModelProto, path: Path) -> Metadata | None:
    """What the file says about itself, None for an ordinary ONNX file."""
    return Metadata.from_properties({p.key: p.value for p in model.metadata_props}, str(path))


def image_input(model: ModelProto, path: Path) -> ValueInfoProto:
    """The network's one input with four axes.

    Raises:
        ModelError: when there is none, or several inputs are asked for.
    """
    given = {tensor.name for tensor in model.graph.initializer}
    inputs: list[ValueInfoProto] = [source for source in model.graph.input if source.name not in given]
    if len(inputs) != 1 or len(inputs[0].type.tensor_type.shape.dim) != 4:
        found = ", ".join(f"{i.name} ({len(i.type.tensor_type.shape.dim)} axes)" for i in inputs) or "none"
        raise ModelError(f"{path}: a backbone has one input, an image batch of 4 axes; found: {found}")
    return inputs[0]


def _shortened(names: str) -> str:
    return ", ".join(names.split(", ")[:4])


def _shapes(model: ModelProto, path: Path, size: int) -> dict[str, Shape]:
    """Shapes of all float tensors for one picture of the probe size."""
    probe = ModelProto()
    probe.CopyFrom(model)
    _fix(image_input(probe, path), size)
    del probe.graph.value_info[:]
    for output in probe.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(probe, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ModelError(f"{path}: its shapes cannot be inferred: {str(error).splitlines()[0][:200]}") from error
    infos = {info.name: info.type.tensor_type for info in (*inferred.value_info, *inferred.output)}
    shapes = {
        name: tuple(axis.dim_value for axis in info.shape.dim)
        for name, info in infos.items()
        if info.elem_type in FLOATS
    }
    unknown = [name for name, shape in shapes.items() if 0 in shape]
    unknown += [name for node in model.graph.node for name in node.output if name and name not in infos]
    return shapes | (_run_shapes(probe, unknown, path) if unknown else {})


def _run_shapes(probe: ModelProto, names: list[str], path: Path) -> dict[str, Shape]:
    """Shapes that depend on values (padding computed in the graph, say)."""
    values = _values(probe, names, path)
    return {name: v.shape for name, v in values.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}


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
    _fix(image_input(probe, path), size)
    return _values(probe, names, path)


def _values(probe: ModelProto, names: list[str], path: Path) -> dict[str, NDArray[Any]]:
    source = image_input(probe, path)
    kind = np.uint8 if source.type.tensor_type.elem_type == TensorProto.UINT8 else np.float32
    picture = np.zeros([axis.dim_value for axis in source.type.tensor_type.shape.dim], kind)
    del probe.graph.output[:]
    probe.graph.output.extend(ValueInfoProto(name=name) for name in names)
    try:
        session = create_session(probe.SerializeToString(), "cpu")
        return dict(zip(names, session.run(names, {source.name: picture}), strict=True))
    except runtime_errors() as error:
        raise ModelError(f"{path}: ONNX Runtime cannot run it at the probe size: {str(error)[:200]}") from error


def _fix(source: ValueInfoProto, size: int) -> None:
    axes = source.type.tensor_type.shape.dim
    last = axes[3].dim_value == 3 or source.type.tensor_type.elem_type == TensorProto.UINT8
    wanted = (1, size, size, 3) if last else (1, axes[1].dim_value or 3, size, size)
    for axis, value in zip(axes, wanted, strict=True):
        if not axis.dim_value:  # an axis of fixed size stays as it is
            axis.dim_value = value


def _gates(model: ModelProto) -> set[str]:
    users: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {output.name for output in model.graph.output}
    made = [node.output[0] for node in model.graph.node if node.op_type in GATES]
    return {g for g in made if g not in outputs and users.get(g) and all(n.op_type == "Mul" for n in users[g])}
