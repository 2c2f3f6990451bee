"""What tensors of a network can feed DFF, and which one a name means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto, NodeProto, ValueInfoProto

from dff_onnx.backbone.image_input import image_input, input_layout
from dff_onnx.backbone.lattice import lattice_of
from dff_onnx.backbone.layouts import CHANNELS_FIRST, layouts
from dff_onnx.backbone.metadata import Metadata
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.backbone.shapes import PROBE, Shape, shapes_of
from dff_onnx.errors import ModelError
from dff_onnx.records import Layout

# Fewer channels than these are pictures, not features.
FEWEST_CHANNELS = 8
GATES = {"Sigmoid", "HardSigmoid"}
# What may lie between class maps and the answer.
POOLS = {"GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "AveragePool"}
ANSWERS = POOLS | {"Flatten", "Reshape", "Squeeze", "Softmax", "LogSoftmax", "Identity", "Cast", "Dropout"}
# What ends a layer whose values are not negative.
RECTIFIERS = {"Relu", "Clip", "Concat", "Add"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that can feed DFF.

    Attributes:
        name: of the tensor.
        operator: that makes it.
        channels, height, width: at the probe size.
        stride: input pixels per cell.
        nonnegative: whether the graph proves it.
        layout: where its channels are.
        dtype: of its values.
    """

    name: str
    operator: str
    channels: int
    height: int
    width: int
    stride: int
    nonnegative: bool
    layout: Layout
    dtype: str


def list_layers(model: ModelProto, path: Path, size: int = PROBE) -> tuple[Candidate, ...]:
    """Every tensor of floats with a grid, `(n, c, h, w)` or `(n, h, w, c)`, in the order of the graph.

    Gates (a sigmoid that only multiplies other features, as in SiLU and squeeze-and-excitation) are no features and
    are left out.

    Args:
        model: the network.
        path: its file, for the sentence.
        size: height and width of the probe.

    Raises:
        ModelError: when the network has no image input, or shapes cannot be inferred.
    """
    shapes = shapes_of(model, path, size)
    try:
        larger = shapes_of(model, path, 2 * size)
    except ModelError:  # it declares any size, and takes one
        larger = shapes
    image = image_input(model, path)
    turned, seen = layouts(model.graph, input_layout(image)), _height(image) or size
    proved = nonnegative_tensors(model.graph)
    gates = _gates(model)
    found = []
    for node in model.graph.node:
        for name in node.output:
            tensor = shapes.get(name)
            if tensor is None or len(tensor.shape) != 4 or name in gates:
                continue
            layout = turned.get(name) or _seen_layout(tensor.shape, larger[name].shape if name in larger else ())
            channels, height, width = _first(tensor.shape, layout)
            if channels < FEWEST_CHANNELS or min(height, width) < 2:
                continue
            # Borders cost cells (224 pixels, 13 cells); what twice the picture adds does not suffer from them.
            more = _first(larger[name].shape, layout)[1] - height if name in larger else 0
            stride = round(size / more) if more > 0 else _stride(model, name, path) or max(round(seen / height), 1)
            sign = name in proved
            found.append(Candidate(name, node.op_type, channels, height, width, stride, sign, layout, tensor.dtype))
    return tuple(found)


def layout_of(model: ModelProto, layer: str, path: Path) -> Layout:
    """Where a layer's channels are: what the operators tell, else what two sizes of picture show.

    Args:
        model: the network.
        layer: a tensor's name.
        path: the network's file, for the sentence.
    """
    told = layouts(model.graph, input_layout(image_input(model, path))).get(layer)
    if told:
        return told
    try:
        return next((c.layout for c in list_layers(model, path) if c.name == layer), "NCHW")
    except ModelError:
        return "NCHW"


def has_grid(model: ModelProto, layer: str, path: Path) -> bool:
    """Whether a layer has places, `(n, c, h, w)` or `(n, h, w, c)`; True where its shape cannot be told.

    Args:
        model: the network.
        layer: a tensor's name.
        path: the network's file, for the sentence.
    """
    if any(layer in node.output and node.op_type in CHANNELS_FIRST for node in model.graph.node):
        return True
    try:
        found = shapes_of(model, path, PROBE).get(layer)
    except ModelError:
        return True
    return found is None or len(found.shape) == 4


def _seen_layout(shape: Shape, larger: Shape) -> Layout:
    """Behind a Reshape no operator tells the layout; the axes that grow with the picture are its places."""
    grown = [axis for axis, (one, other) in enumerate(zip(shape, larger, strict=False)) if one != other]
    last = grown == [1, 2] or (not grown and shape[1] == shape[2] != shape[3])
    return "NHWC" if last else "NCHW"


def _stride(model: ModelProto, layer: str, path: Path) -> int:
    """By the windows between the image and a layer, 0 where they do not tell."""
    try:
        return round(lattice_of(model, layer, path).stride)
    except ModelError:
        return 0


def _height(image: ValueInfoProto) -> int:
    """Of the image where it is fixed, else 0."""
    height: int = image.type.tensor_type.shape.dim[2 if input_layout(image) == "NCHW" else 1].dim_value
    return height


def _first(shape: Shape, layout: Layout) -> Shape:
    """Channels, height and width."""
    _, *rest = shape
    return tuple(rest) if layout == "NCHW" else (rest[2], rest[0], rest[1])


def candidate_layers(model: ModelProto, path: Path, size: int = PROBE, per_stride: int = 1) -> tuple[Candidate, ...]:
    """The layers worth comparing: of each stride the last that is non-negative and wide, class maps left out.

    Args:
        model: the network.
        path: its file, for the sentence.
        size: height and width of the pictures.
        per_stride: how many of each stride.

    Raises:
        ModelError: when no layer is provably non-negative.
    """
    maps = _class_maps(model)
    serving = [
        c for c in list_layers(model, path, size) if c.nonnegative and c.operator in RECTIFIERS and c.name not in maps
    ]
    if not serving:
        raise ModelError(
            f"{path}: not one layer is provably non-negative; make a file with one: `dff-onnx cut --rectify` sets "
            "negative values to 0, `dff-onnx cut --split` keeps both parts (`dff-onnx layers` lists all layers)"
        )
    found: list[Candidate] = []
    for stride in sorted({c.stride for c in serving}):
        alike = [c for c in serving if c.stride == stride]
        # Bottlenecks and parts of a concatenation are narrower than what a block hands on.
        wide = [c for c in alike if c.channels >= 0.75 * max(other.channels for other in alike)]
        found += wide[-per_stride:]
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
    holding = [one for one in known if name.casefold() in one.casefold()][-3:]
    near = holding or difflib.get_close_matches(name, known, 3, 0.5)
    told = f"the nearest: {', '.join(near)}" if near else f"the last: {', '.join(known[-3:])}"
    raise ModelError(f"{path}: has no layer {name!r}; {told} (`dff-onnx layers` lists all)")


def nonnegative_neighbours(model: ModelProto, layer: str) -> tuple[str, ...]:
    """The layers before and behind one that the graph proves to be non-negative, the nearest first; at most two."""
    proved = nonnegative_tensors(model.graph)
    made = [(name, node.op_type) for node in model.graph.node for name in node.output]
    place = next(i for i, (name, _) in enumerate(made) if name == layer)
    serving = [i for i, (name, kind) in enumerate(made) if kind in RECTIFIERS and name in proved and name != layer]
    sides = ([i for i in serving if i > place][:1], [i for i in serving if i < place][-1:])
    return tuple(made[i][0] for side in sides for i in side)


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
    deep = ", ".join(c.name for c in candidates[::-1] if c.nonnegative and c.operator in RECTIFIERS)
    found = "several outputs with a grid" if grids else "no output with a grid"
    raise ModelError(
        f"{path}: has {found}, so the layer must be named with --layer; the deepest that serve: "
        f"{_shortened(deep) or 'none'} (`dff-onnx layers` lists all)"
    )


def metadata_of(model: ModelProto, path: Path) -> Metadata | None:
    """What the file says about itself, None for an ordinary ONNX file."""
    return Metadata.from_properties({p.key: p.value for p in model.metadata_props}, str(path))


def _shortened(names: str) -> str:
    return ", ".join(names.split(", ")[:4])


def _class_maps(model: ModelProto) -> set[str]:
    """Layers that are only pooled to become the network's answer: one channel a class."""
    makers = {name: node for node in model.graph.node for name in node.output}
    found: set[str] = set()
    for output in model.graph.output:
        name, pooled = output.name, False
        while name in makers and makers[name].op_type in ANSWERS:
            pooled |= makers[name].op_type in POOLS
            name = makers[name].input[0]
        if pooled:
            found.add(name)
    return found


def _gates(model: ModelProto) -> set[str]:
    users: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    outputs = {output.name for output in model.graph.output}
    made = [node.output[0] for node in model.graph.node if node.op_type in GATES]
    return {g for g in made if g not in outputs and users.get(g) and all(n.op_type == "Mul" for n in users[g])}
