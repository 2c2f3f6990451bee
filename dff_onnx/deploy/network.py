"""The network of a compiled file: pixels in, `(n, height, width, 3)` uint8, activations out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.compose import add_prefix
from onnx.version_converter import ConvertError, convert_version

from dff_onnx.backbone.cut import Sign, features_model
from dff_onnx.backbone.graph_builder import GraphBuilder
from dff_onnx.backbone.image_input import image_input, input_layout
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.backbone.preprocess_nodes import AXES, INPUT, add_preprocessing
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.errors import ModelError, UsageError, first_line
from dff_onnx.images.resize import SMALLEST
from dff_onnx.records import Preprocessing

PREFIX = "net/"  # of the network's tensors, so that none of them has the name of an output
OPSET = 18  # reductions take their axes as an input from here on, ScatterElements knows minima
NEWEST = 26  # that ONNX Runtime 1.31 takes
HALVED = 1024  # entries from which on a constant is worth storing in half precision


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """A network up to a layer, ready for further nodes.

    Attributes:
        model: takes `image`, has no output.
        features: the activations, `(n, c, h, w)` float32.
    """

    model: ModelProto
    features: str


def feature_network(
    file: ModelFile,
    layer: str,
    sign: Sign,
    preprocessing: Preprocessing,
    opset: int | None = None,
    *,
    float16: bool = False,
) -> FeatureNetwork:
    """The network up to a layer, with its preprocessing in the graph.

    Args:
        file: the network.
        layer, sign: see `Backbone.open`.
        preprocessing: of the network, layout and type included.
        opset: of the file; by default the network's own, 18 at least.
        float16: store weights in half precision; they become float32 again when the file is loaded.

    Raises:
        UsageError: for an impossible opset.
        ModelError: when the network needs more than the image, cannot be converted to the opset, or has weights beyond
            float16.
    """
    model, features, layout = features_model(file.model, layer, file.path, sign)
    model = _converted(model, file, opset)
    add_prefix(model, PREFIX, inplace=True)
    if float16:
        _halve(model, file)
    _take_pixels(model, file, preprocessing)
    ends = Nodes()
    features = ends.op("Cast", f"{PREFIX}{features}", to=TensorProto.FLOAT)
    if layout == "NHWC":
        features = ends.op("Transpose", features, perm=[0, 3, 1, 2])
    add(model, ends)
    return FeatureNetwork(model, features)


def add(model: ModelProto, nodes: Nodes, outputs: Sequence[ValueInfoProto] = ()) -> None:
    """Adds nodes with their constants behind those of a model, and outputs."""
    model.graph.node.extend(nodes.nodes)
    model.graph.initializer.extend(nodes.initializers)
    model.graph.output.extend(outputs)


def output(name: str, kind: int, shape: Sequence[Any], doc: str) -> ValueInfoProto:
    """An output, and what it is."""
    made: ValueInfoProto = helper.make_tensor_value_info(name, kind, shape, doc_string=doc)
    return made


def _converted(model: ModelProto, file: ModelFile, opset: int | None) -> ModelProto:
    has = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 1)
    newest = min(NEWEST, onnx.defs.onnx_opset_version())
    if opset is not None and not OPSET <= opset <= newest:
        raise UsageError(f"opset: {OPSET} to {newest} are possible, found {opset}")
    wanted = opset or max(has, OPSET)
    if has == wanted:
        return model
    try:
        made: ModelProto = convert_version(model, wanted)
    except (ConvertError, RuntimeError, ValueError) as error:
        why = first_line(error)
        raise ModelError(
            f"{file.path}: has opset {has} and cannot be converted to {wanted}: {why}; export it with another opset"
        ) from error
    return made


def _halve(model: ModelProto, file: ModelFile) -> None:
    """Stores large constants in half precision, with a Cast to float32 behind each."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=float) < HALVED:
            continue
        with np.errstate(over="ignore"):
            half = numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelError(
                f"{file.path}: {tensor.name.removeprefix(PREFIX)} has weights beyond float16; leave out --float16"
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    _put_first(model, casts)


def _take_pixels(model: ModelProto, file: ModelFile, preprocessing: Preprocessing) -> None:
    """Gives the network an input of pixels, channels last, and what turns them into what it takes."""
    source = image_input(model, file.path)
    axes = dict(zip("nhw", _axes(source), strict=True))
    builder = GraphBuilder()
    made = _guarded(builder, axes)
    if preprocessing.dtype == "float32":
        made = add_preprocessing(builder, replace(preprocessing, layout="NHWC", dtype="uint8"), made)
    elif preprocessing.layout == "NCHW":
        made = builder.node("Transpose", [made], _unknown("pixels.planes"), perm=[0, 3, 1, 2])
    if preprocessing.dtype == "float32" and preprocessing.layout == "NHWC":
        made = builder.node("Transpose", [made], _unknown("pixels.last"), perm=[0, 2, 3, 1])
    builder.node("Identity", [made], _unknown(source.name))
    _put_first(model, builder.nodes)
    model.graph.initializer.extend(builder.initializers)
    shape = [axes.get(axis, axis) if isinstance(axis, str) else axis for axis in AXES["NHWC"]]
    doc = "Pictures of one size, RGB, 0..255, channels last."
    model.graph.input.remove(source)
    model.graph.input.append(output(INPUT, TensorProto.UINT8, shape, doc))


def _guarded(builder: GraphBuilder, axes: Mapping[str, int | str]) -> str:
    """The pictures, once they are known to be some, and large enough.

    Of pictures that leave a layer without a cell ONNX Runtime's convolutions divide by zero, which ends the process. A
    Reshape to what they should be at least is an error that names both shapes.
    """
    sides = [min(axis, SMALLEST) if isinstance(axis, int) else SMALLEST for axis in (axes["h"], axes["w"])]
    least = builder.constant("pixels.least", np.array([1, *sides, 3], np.int64))
    shape = helper.make_tensor_value_info("pixels.shape", TensorProto.INT64, [4])
    enough = helper.make_tensor_value_info("pixels.enough", TensorProto.INT64, [4])
    wanted = builder.node("Max", [builder.node("Shape", [INPUT], shape), least], enough)
    checked = helper.make_tensor_value_info(
        f"pictures of {SMALLEST} pixels a side at least", TensorProto.UINT8, AXES["NHWC"]
    )
    return builder.node("Reshape", [INPUT, wanted], checked)


def _axes(source: ValueInfoProto) -> list[int | str]:
    """Batch, height and width: the size of those that are fixed, names of the others."""
    dims = source.type.tensor_type.shape.dim
    places = (0, 2, 3) if input_layout(source) == "NCHW" else (0, 1, 2)
    return [dims[place].dim_value or name for place, name in zip(places, "nhw", strict=True)]


def _unknown(name: str) -> ValueInfoProto:
    made: ValueInfoProto = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return made


def _put_first(model: ModelProto, nodes: Sequence[Any]) -> None:
    later = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *later])
