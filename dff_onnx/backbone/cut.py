"""A network cut at a layer: what the layer needs stays, the rest goes. Values do not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper

from dff_onnx.backbone.float16 import halved
from dff_onnx.backbone.free_axes import free_axes
from dff_onnx.backbone.graph import Candidate, layout_of, list_layers, metadata_of, resolve_layer
from dff_onnx.backbone.image_input import refuse_further_inputs, settled
from dff_onnx.backbone.metadata import FORMAT_KEY, Layer, Metadata
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.backbone.nodes import references
from dff_onnx.backbone.shapes import FLOATS, PROBE
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Layout, Preprocessing

ROWS = "activations"

# What becomes of negative values: they stay; they become 0 (`NAME_rectified`); every channel becomes two, its positive
# and its negative part (`NAME_split`), so that nothing is lost and `A` has twice the columns.
Sign = Literal["keep", "rectify", "split"]
SUFFIXES = {"rectify": "rectified", "split": "split"}


def cut(
    file: ModelFile,
    layers: Sequence[str],
    *,
    preprocessing: Preprocessing | None = None,
    sign: Sign = "keep",
    float16: bool = False,
    size: int = PROBE,
) -> ModelProto:
    """The network up to the layers, which become its outputs.

    Batch, height and width that the file has fixed are freed where its operators prove that any size will do.

    Args:
        file: the network, as `load_model` gives it.
        layers: names of tensors, or of the nodes that make them.
        preprocessing: what the network was trained on, for files that do not say; it is written into the metadata.
            Layout and type are taken from the graph.
        sign: what becomes of features that can be negative, see `Sign`.
        float16: store weights and compute in half precision; input and outputs stay as they are. For GPUs: most CPUs
            compute it by way of float32.
        size: height and width of the probe, for networks that take some sizes only.

    Raises:
        ModelError: when there is no such layer, or it has no grid, or needs more than the image.
        UsageError: when no layer is named, or `preprocessing` contradicts what the file says.
    """
    model, path = file.model, file.path
    if not layers:
        raise UsageError("cut: at least one --layer is needed")
    names = list(dict.fromkeys(resolve_layer(model, layer, path) for layer in layers))
    known = {candidate.name: candidate for candidate in list_layers(model, path, size)}
    for name in names:
        if name not in known:
            raise ModelError(f"{path}: {name!r} has no grid of features; `dff-onnx layers` lists those that do")
    made = _truncated(model, names)
    refuse_further_inputs(made, path, names[0])
    outputs = [_signed(made.graph, name, sign, known[name].layout) for name in names]
    found = tuple(
        Layer(
            name=output,
            stride=known[name].stride,
            channels=known[name].channels * (2 if sign == "split" else 1),
            nonnegative=known[name].nonnegative or sign != "keep",
        )
        for output, name in zip(outputs, names, strict=True)
    )
    _set_outputs(made.graph, found, [known[name] for name in names])
    metadata = _metadata(file, found, preprocessing)
    if metadata:
        helper.set_model_props(made, metadata.to_properties())
    if float16:
        made = halved(made, path, size)
    onnx.checker.check_model(made)
    return made


def rows_model(
    model: ModelProto, layer: str, path: Path, sign: Sign = "keep", grid: bool = True
) -> tuple[ModelProto, str]:
    """As `features_model`, with channels side by side: the output is `(n, h, w, c)` float32, rows of `A` as they are.

    Args:
        model, layer, path, sign: see `features_model`.
        grid: whether the layer has one; where it has not, all that it says of a picture becomes a grid of one cell.

    Returns:
        the network, and the name of the layer with its sign settled.
    """
    made, name, layout = features_model(model, layer, path, sign)
    made.graph.node.append(helper.make_node("Cast", [name], [f"{ROWS}.float32"], to=TensorProto.FLOAT))
    if grid:
        perm = [0, 2, 3, 1] if layout == "NCHW" else [0, 1, 2, 3]
        made.graph.node.append(helper.make_node("Transpose", [f"{ROWS}.float32"], [ROWS], perm=perm))
    else:
        one_cell = helper.make_tensor(f"{ROWS}.shape", TensorProto.INT64, [4], [0, 1, 1, -1])  # 0: as it is
        made.graph.initializer.append(one_cell)
        made.graph.node.append(helper.make_node("Reshape", [f"{ROWS}.float32", one_cell.name], [ROWS]))
    made.graph.output.append(helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, [None] * 4))
    return made, name


def features_model(model: ModelProto, layer: str, path: Path, sign: Sign = "keep") -> tuple[ModelProto, str, Layout]:
    """The network up to a layer, without outputs: for those who add nodes of their own.

    Args:
        model: the network.
        layer: a tensor's name.
        path: the network's file, for the sentence.
        sign: what becomes of features that can be negative.

    Returns:
        the network, the name of the layer with its sign settled, and where its channels are.

    Raises:
        ModelError: when the layer needs more than the image.
    """
    made = _truncated(model, [layer])
    refuse_further_inputs(made, path, layer)
    layout = layout_of(model, layer, path)
    return made, _signed(made.graph, layer, sign, layout), layout


def _signed(graph: GraphProto, name: str, sign: Sign, layout: Layout) -> str:
    """Adds what makes a layer non-negative, and names the result."""
    if sign == "keep":
        return name
    made = f"{name}_{SUFFIXES[sign]}"
    if sign == "rectify":
        graph.node.append(helper.make_node("Relu", [name], [made]))
        return made
    minus, parts = f"{made}.minus", [f"{made}.positive", f"{made}.negative"]
    graph.node.append(helper.make_node("Neg", [name], [minus]))
    graph.node.extend(helper.make_node("Relu", [x], [y]) for x, y in zip((name, minus), parts, strict=True))
    graph.node.append(helper.make_node("Concat", parts, [made], axis=1 if layout == "NCHW" else 3))
    return made


def _truncated(model: ModelProto, names: Sequence[str]) -> ModelProto:
    needed = _needed(model.graph, names)
    made = ModelProto(
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        opset_import=model.opset_import,
        metadata_props=model.metadata_props,
    )
    graph = model.graph
    made.graph.name = graph.name
    made.graph.node.extend(node for node in graph.node if needed.intersection(node.output))
    made.graph.input.extend(source for source in graph.input if source.name in needed)
    made.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in needed)
    made.graph.sparse_initializer.extend(t for t in graph.sparse_initializer if t.values.name in needed)
    made.graph.value_info.extend(v for v in graph.value_info if v.name in needed and v.name not in names)
    # What a backbone of ours has fixed is meant so.
    if not any(said.key == FORMAT_KEY for said in model.metadata_props):
        free_axes(made)
    return made


def _needed(graph: GraphProto, names: Sequence[str]) -> set[str]:
    """The tensors that the named ones are made of, inner graphs' references to outer tensors included."""
    makers = {output: node for node in graph.node for output in node.output if output}
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in makers:
            waiting += references(makers[name])
    return needed


def _set_outputs(graph: GraphProto, layers: Sequence[Layer], sources: Sequence[Candidate]) -> None:
    del graph.output[:]
    for i, (layer, source) in enumerate(zip(layers, sources, strict=True)):
        axes: list[str | int] = ["n", f"h_{i}", f"w_{i}"]
        axes.insert(1 if source.layout == "NCHW" else 3, layer.channels)
        kind = {name: kind for kind, name in FLOATS.items()}[source.dtype]
        graph.output.append(helper.make_tensor_value_info(layer.name, kind, axes))


def _metadata(file: ModelFile, layers: tuple[Layer, ...], preprocessing: Preprocessing | None) -> Metadata | None:
    earlier = metadata_of(file.model, file.path)
    if earlier is None:
        if preprocessing is None:
            return None
        return Metadata(Path(file.path).stem, layers, settled(file.model, file.path, preprocessing), file.sha256)
    if preprocessing and preprocessing != earlier.preprocessing:
        raise UsageError(f"{file.path}: says its preprocessing itself; leave out the options that set another")
    return Metadata(earlier.architecture, layers, earlier.preprocessing, earlier.weights_sha256)
