"""The front door: an architecture's name and a file of weights in, an ONNX backbone out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from dff_onnx.backbone.metadata import Layer, Metadata
from dff_onnx.backbone.preprocess_nodes import add_preprocessing, graph_input
from dff_onnx.backbone.shapes import shapes_of
from dff_onnx.export.architectures import network as network_of
from dff_onnx.export.architectures import usual_preprocessing
from dff_onnx.export.checkpoint import Checkpoint, open_checkpoint
from dff_onnx.export.fit import choose_layers, deepest, layers_within, with_classifier
from dff_onnx.export.network import Network, Rows
from dff_onnx.export.network_builder import NetworkBuilder
from dff_onnx.files import write_atomically
from dff_onnx.records import Preprocessing

OPSET = 20
IR_VERSION = 10


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        path: the ONNX file.
        size: its bytes.
        metadata: architecture, layers, preprocessing and the weights' sha256, as the file says them.
        last: the deepest layer, pools aside, that the checkpoint reaches.
        classes: how many the file has scores for, 0 without a classifier.
        side: height and width of the only pictures it takes, None for any.
    """

    path: Path
    size: int
    metadata: Metadata
    last: Layer
    classes: int = 0
    side: int | None = None


def export(
    architecture: str,
    weights: str | Path,
    layers: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    *,
    classifier: bool = False,
) -> ModelProto:
    """Makes an ONNX backbone from a checkpoint of a torchvision network. Needs no PyTorch.

    The graph has one input `image` with free batch, height and width, one output `(n, channels, h, w)` float32 per
    layer, and nothing beyond the last of them but the classifier where it is kept. The same arguments give the same
    bytes.

    Args:
        architecture: torchvision's name, one of `ARCHITECTURES`.
        weights: a `.pth` of `torch.save` (both formats) or a `.safetensors`; it may end before the network does.
        layers: names like `relu5_4`, `layer3.5` (or `layer3`, its stage's last block), `fire9`; by default the deepest
            layer within the checkpoint that is not a pool.
        preprocessing: what the network was trained on and what the input is to be; by default uint8 RGB pixels
            `(n, h, w, 3)`, normalised in the graph as torchvision's weights expect it.
        classifier: whether to keep it: the last output is then `logits` `(n, classes)` float32, before any softmax, of
            as many classes as the checkpoint has. VGG and AlexNet then take pictures of 224 x 224 only.

    Raises:
        UsageError: for an unknown architecture or layer, or a file that is not there.
        CheckpointError: for a file that cannot be read safely, or is of another architecture, or ends before a layer
            or the classifier.
    """
    network = network_of(architecture)
    with open_checkpoint(weights) as checkpoint:
        if classifier:
            network = with_classifier(network, checkpoint)
        return _export(network, checkpoint, layers, preprocessing or usual_preprocessing(network.name))[0]


def export_file(
    architecture: str,
    weights: str | Path,
    output: str | Path,
    layers: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    *,
    classifier: bool = False,
) -> Exported:
    """Like `export`, and writes the model to a file, atomically.

    Raises:
        UsageError, CheckpointError: see `export`.
        OutputError: when the file cannot be written.
    """
    network = network_of(architecture)
    with open_checkpoint(weights) as checkpoint:
        if classifier:
            network = with_classifier(network, checkpoint)
        return write_network(network, checkpoint, output, layers, preprocessing)


def write_network(
    network: Network,
    checkpoint: Checkpoint,
    output: str | Path,
    layers: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    properties: Mapping[str, str] | None = None,
) -> Exported:
    """Like `export_file`, for any plan of a network.

    Args:
        network: the plan; its scores, where it has some, become the last output.
        checkpoint: its weights.
        output: the file to write.
        layers, preprocessing: see `export`.
        properties: further metadata properties.

    Raises:
        UsageError, CheckpointError: see `export`.
        OutputError: when the file cannot be written.
    """
    model, metadata, last = _export(network, checkpoint, layers, preprocessing or usual_preprocessing(network.name))
    if properties:
        helper.set_model_props(model, metadata.to_properties() | dict(properties))
    data = model.SerializeToString(deterministic=True)
    write_atomically(Path(output), data)
    scores = network.tensors[network.scores] if network.scores else None
    classes = scores.features if isinstance(scores, Rows) else 0
    return Exported(Path(output), len(data), metadata, last, classes, network.side)


def _export(
    network: Network, checkpoint: Checkpoint, asked: Sequence[str], preprocessing: Preprocessing
) -> tuple[ModelProto, Metadata, Layer]:
    within = layers_within(network, checkpoint)
    layers = choose_layers(network, within, asked, checkpoint)
    metadata = Metadata(network.name, layers, preprocessing, checkpoint.sha256)
    builder = NetworkBuilder()
    source = add_preprocessing(builder, preprocessing)
    outputs = tuple(layer.name for layer in layers) + ((network.scores,) if network.scores else ())
    builder.steps(network, network.ancestors(outputs), source, checkpoint)
    return _model(builder, metadata, outputs, network.side), metadata, deepest(network, within)


def _model(builder: NetworkBuilder, metadata: Metadata, names: tuple[str, ...], side: int | None) -> ModelProto:
    infos = {info.name: info for info in builder.value_infos}
    graph = helper.make_graph(
        builder.nodes,
        metadata.architecture,
        [graph_input(metadata.preprocessing)],
        [infos[name] for name in names],
        builder.initializers,
        value_info=[info for name, info in infos.items() if name not in names],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="dff-onnx")
    helper.set_model_props(model, metadata.to_properties())
    if side:
        _fix_size(model, side)
    # Strict shape inference included: every shape that the builder wrote is compared with ONNX's own.
    onnx.checker.check_model(model, full_check=True)
    return model


def _fix_size(model: ModelProto, side: int) -> None:
    """Writes the one size that a network takes into all its shapes; the batch stays free."""
    shapes = shapes_of(model, Path(), side)
    for axis in model.graph.input[0].type.tensor_type.shape.dim:
        if axis.dim_param in ("h", "w"):
            axis.dim_value = side
    for info in (*model.graph.value_info, *model.graph.output):
        dims = info.type.tensor_type.shape.dim
        for axis, size in zip(dims[1:], shapes[info.name].shape[1:], strict=True):
            axis.dim_value = size
