"""A network in eight bits by ONNX Runtime's own tool (static, QDQ): uint8 activations, int8 weights per channel.

The tool finds the ranges of the activations and writes the graph. Real networks need more (docs/quantize.md):

- the rarest values are cut off, so that the others get finer steps;
- sums and products stay in float, and so does a first convolution whose result goes into them alone;
- the normalisation of the pixels becomes one operator, which ONNX Runtime leaves where it is fast;
- weights are rounded so that no pair of products can exceed 16 bits, in which processors without VNNI add them;
- biases make up for what rounded weights add on average (both in `rounding`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.version_converter import ConvertError

from dff_onnx.backbone.graph import metadata_of
from dff_onnx.backbone.image_input import image_input, open_inputs
from dff_onnx.backbone.nodes import constants
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.runtime import runtime_errors, stdout_is_for_results
from dff_onnx.deploy.rounding import convolutions, round_weights
from dff_onnx.deploy.simplify import loaded, simplified, users_of
from dff_onnx.errors import ModelError, first_line

# So many percent of a tensor's values lie in its range.
PERCENTILE = 99.999
# What eight bits may go through between two convolutions.
PASSED = ("AveragePool", "Clip", "Concat", "MaxPool", "Pad", "Relu", "Reshape", "Resize", "Slice", "Split", "Transpose")
ARITHMETIC = {"Add", "Div", "Mul", "Sub"}
QUANTIZERS = {"DequantizeLinear", "QuantizeLinear", "QLinearConv", "ConvInteger"}

# The picture of that number as the network's input takes it, alone in its batch.
Feed = Callable[[int], NDArray[Any]]


def quantized(model: ModelProto, path: Path, feed: Feed, pictures: int) -> ModelProto:
    """A network in eight bits. Input, outputs, free axes and metadata stay as they are.

    The same network and pictures give the same bytes.

    Args:
        model: up to its layer, as `cut` gives it, in float32.
        path: its file, for sentences.
        feed: the pictures to calibrate on.
        pictures: how many there are.

    Raises:
        ModelError: when it is in eight bits already, in another precision, has no convolution, or cannot be quantized.
    """
    check_quantizable(model, path)
    reader = _Reader(image_input(model, path).name, feed, pictures)
    invalid: type[Exception] = onnx.checker.ValidationError
    refused: tuple[type[Exception], ...] = (
        invalid, ConvertError, onnx.shape_inference.InferenceError, ArithmeticError, AssertionError, AttributeError,
        LookupError, RuntimeError, TypeError, ValueError, *runtime_errors(),
    )  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(prefix="dff-onnx-") as folder:
            plain = simplified(model, Path(folder))
            made = _by_tool(plain, reader, Path(folder))
        found = list(convolutions(made, plain))
        if found:
            round_weights(found, plain, reader)
            _finish(made, model, path)
            onnx.checker.check_model(made)
            return made
    except refused as error:
        raise ModelError(f"{path}: cannot be quantized: {first_line(error)}") from error
    raise ModelError(
        f"{path}: has no convolution over height and width whose weights and bias are constant, so there is nothing to "
        "quantize"
    )


def check_quantizable(model: ModelProto, path: Path) -> None:
    """Raises `ModelError`, as `quantized`, for what is seen before any work."""
    kinds = {node.op_type for node in model.graph.node}
    if kinds & QUANTIZERS:
        raise ModelError(f"{path}: is quantized already; quantize the float32 network that it was made of")
    held = constants(model.graph)
    types = {held[n.input[1]].data_type for n in model.graph.node if n.op_type == "Conv" and n.input[1] in held}
    if not types:
        raise ModelError(f"{path}: has no convolution up to this layer, so there is nothing to quantize")
    if other := types - {TensorProto.FLOAT}:
        name = TensorProto.DataType.Name(min(other)).lower()
        raise ModelError(f"{path}: has weights in {name}; quantize the float32 network that it was made of")


class _Reader:
    """Pictures as ONNX Runtime's tool asks for them: a range of them, one after the other."""

    def __init__(self, name: str, feed: Feed, pictures: int) -> None:
        self._name, self._feed, self._pictures = name, feed, pictures
        self._ahead = iter(self)

    def __len__(self) -> int:
        return self._pictures

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return ({self._name: self._feed(number)} for number in range(self._pictures))

    def set_range(self, start_index: int, end_index: int) -> None:
        self._ahead = ({self._name: self._feed(number)} for number in range(start_index, end_index))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._ahead, None)


def _kept_in_float(graph: GraphProto) -> list[str]:
    """Names of the first convolutions whose results go into arithmetic alone, as where normalisation comes first.

    What normalisation stretches afterwards needs more than eight bits.
    """
    users, behind, kept = users_of(graph), set[str](), []
    for node in graph.node:
        first = not behind.intersection(node.input)
        if node.op_type == "Conv" and first and _reached(node.output[0], users) <= ARITHMETIC:
            kept.append(node.name)
        if node.op_type == "Conv" or not first:
            behind.update(node.output)
    return kept if len(kept) < sum(node.op_type == "Conv" for node in graph.node) else []


def _of_other_axes(graph: GraphProto) -> list[str]:
    """Names of the convolutions over one axis or three, which ONNX Runtime leaves in float at best."""
    held = constants(graph)
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in held and len(held[node.input[1]].dims) != 4
    ]


def _reached(tensor: str, users: Mapping[str, list[NodeProto]]) -> set[str]:
    """The operators that use a tensor, or what pooling and the like make of it; nameless where nothing does."""
    found: set[str] = set()
    for node in users.get(tensor, []):
        found |= _reached(node.output[0], users) if node.op_type in PASSED else {node.op_type}
    return found or {""}


def _by_tool(model: ModelProto, reader: _Reader, folder: Path) -> ModelProto:
    """What ONNX Runtime's tool makes of a simplified network."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    source, path = folder / "simplified.onnx", folder / "quantized.onnx"
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # or the tool asks for its own step
    source.write_bytes(model.SerializeToString())
    with _silent():
        quantize_static(
            source,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", *PASSED],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*_kept_in_float(model.graph), *_of_other_axes(model.graph)],
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "CalibPercentile": PERCENTILE,
                "CalibTensorRangeSymmetric": False,
                "CalibStridedMinMax": 1,  # of any method: all inner tensors of so many pictures are kept at once
            },
        )
    return loaded(path)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The tool prints what it does, and warns by the root logger, which would get a handler from that for good."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        with contextlib.redirect_stdout(io.StringIO()), stdout_is_for_results():
            yield
    finally:
        logging.root.removeHandler(handler)


def _finish(made: ModelProto, model: ModelProto, path: Path) -> None:
    """Gives a quantized network the inputs, outputs and metadata of the one that it was made of, and what it proves."""
    made.producer_name, made.producer_version = "dff-onnx", ""
    for field, given in (("input", open_inputs(model)), ("output", model.graph.output), ("value_info", ())):
        made.graph.ClearField(field)
        getattr(made.graph, field).extend(given)
    proved, said = nonnegative_tensors(made.graph), metadata_of(model, path)
    ends = proved.intersection(one.name for one in made.graph.output)
    for place, node in reversed(list(enumerate(made.graph.node))):
        if node.op_type == "DequantizeLinear" and node.output[0] in ends:
            # ONNX Runtime 1.27 to 1.31 ends the process where a DequantizeLinear goes into a Loop (`compile --fit`).
            ended = helper.make_node("Relu", [f"{node.output[0]}.dequantized"], list(node.output))
            node.output[:] = ended.input
            made.graph.node.insert(place + 1, ended)
    made.ClearField("metadata_props")
    if said:
        layers = tuple(replace(layer, nonnegative=layer.name in proved) for layer in said.layers)
        helper.set_model_props(made, replace(said, layers=layers).to_properties())
