"""A network cut at a layer: what the layer needs stays, the rest goes. Values do not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from dff_onnx.backbone.graph import list_layers, metadata_of, resolve_layer
from dff_onnx.backbone.metadata import Layer, Metadata
from dff_onnx.backbone.model_file import ModelFile
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Preprocessing

ROWS = "activations"


def cut(
    file: ModelFile, layers: Sequence[str], *, preprocessing: Preprocessing | None = None, rectify: bool = False
) -> ModelProto:
    """The network up to the layers, which become its outputs.

    Args:
        file: the network, as `load_model` gives it.
        layers: names of tensors, or of the nodes that make them.
        preprocessing: what the input expects, for files that do not say; it is written into the metadata.
        rectify: ends every layer in a ReLU (`NAME_rectified`), for networks whose features can be negative.

    Raises:
        ModelError: when there is no such layer, or it has no grid.
        UsageError: when no layer is named, or `preprocessing` contradicts what the file says.
    """
    model, path = file.model, file.path
    if not layers:
        raise UsageError("cut: at least one --layer is needed")
    names = list(dict.fromkeys(resolve_layer(model, layer, path) for layer in layers))
    known = {candidate.name: candidate for candidate in list_layers(model, path)}
    for name in names:
        if name not in known:
            raise ModelError(f"{path}: {name!r} has no grid of features; `dff-onnx layers` lists those that do")
    made = _truncated(model, names)
    if rectify:
        made.graph.node.extend(helper.make_node("Relu", [name], [f"{name}_rectified"]) for name in names)
    outputs = [f"{name}_rectified" if rectify else name for name in names]
    _set_outputs(made.graph, outputs, [known[name].channels for name in names])
    found = tuple(
        Layer(output, known[name].stride, known[name].channels, known[name].nonnegative or rectify)
        for output, name in zip(outputs, names, strict=True)
    )
    metadata = _metadata(file, found, preprocessing)
    if metadata:
        helper.set_model_props(made, metadata.to_properties())
    onnx.checker.check_model(made)
    return made


def append_rows_output(model: ModelProto, layer: str) -> ModelProto:
    """The network up to a layer whose channels end up side by side: `(n, h, w, c)`, rows of `A` as they are.

    Args:
        model: the network.
        layer: a tensor's name.
    """
    made = _truncated(model, [layer])
    made.graph.node.append(helper.make_node("Transpose", [layer], [ROWS], perm=[0, 2, 3, 1]))
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, [None] * 4))
    return made


def _truncated(model: ModelProto, names: Sequence[str]) -> ModelProto:
    needed = _needed(model.graph, names)
    made = ModelProto(
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        opset_import=model.opset_import,
        functions=model.functions,
        metadata_props=model.metadata_props,
    )
    graph = model.graph
    made.graph.name = graph.name
    made.graph.node.extend(node for node in graph.node if needed.intersection(node.output))
    made.graph.input.extend(source for source in graph.input if source.name in needed)
    made.graph.initializer.extend(tensor for tensor in graph.initializer if tensor.name in needed)
    made.graph.sparse_initializer.extend(t for t in graph.sparse_initializer if t.values.name in needed)
    made.graph.value_info.extend(v for v in graph.value_info if v.name in needed and v.name not in names)
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
            waiting += _references(makers[name])
    return needed


def _references(node: NodeProto) -> list[str]:
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names += [name for inner in graph.node for name in _references(inner)]
            names += [output.name for output in graph.output]  # an inner graph may hand an outer tensor on
    return names


def _set_outputs(graph: GraphProto, names: Sequence[str], channels: Sequence[int]) -> None:
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", count, f"h_{i}", f"w_{i}"])
        for i, (name, count) in enumerate(zip(names, channels, strict=True))
    )


def _metadata(file: ModelFile, layers: tuple[Layer, ...], preprocessing: Preprocessing | None) -> Metadata | None:
    earlier = metadata_of(file.model, file.path)
    if earlier is None:
        return Metadata(Path(file.path).stem, layers, preprocessing, file.sha256) if preprocessing else None
    if preprocessing and preprocessing != earlier.preprocessing:
        raise UsageError(f"{file.path}: says its preprocessing itself; leave out the options that set another")
    return Metadata(earlier.architecture, layers, earlier.preprocessing, earlier.weights_sha256)
