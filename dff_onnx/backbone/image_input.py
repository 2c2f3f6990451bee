"""The one input of a backbone: an image batch, of pixels 0..255 or of normalised floats, channels first or last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Dtype, Layout, Preprocessing

# What an ordinary ONNX file of torchvision's school expects.
TORCHVISION = Preprocessing(layout="NCHW", dtype="float32")
# Types that become float32 at the door.
OTHER_FLOATS = {TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}
DTYPES: dict[int, Dtype] = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32"}
LARGEST_CONSTANT = 2**20


def image_input(model: ModelProto, path: Path) -> ValueInfoProto:
    """The input that takes the image batch: the only one with four axes.

    Raises:
        ModelError: when there is none, or there are several.
    """
    inputs = open_inputs(model)
    images = [source for source in inputs if len(source.type.tensor_type.shape.dim) == 4]
    if len(images) != 1:
        found = ", ".join(f"{i.name} ({len(i.type.tensor_type.shape.dim)} axes)" for i in inputs[:4]) or "none"
        raise ModelError(f"{path}: a backbone has one image input, a batch of 4 axes; found: {found}")
    return images[0]


def open_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs that must be given; old files list their initializers among the inputs, too."""
    given = {tensor.name for tensor in model.graph.initializer}
    return [source for source in model.graph.input if source.name not in given]


def input_layout(source: ValueInfoProto) -> Layout:
    """Whether the channels are the second axis or, as TensorFlow has it, the last."""
    tensor = source.type.tensor_type
    channels = {axis: tensor.shape.dim[axis].dim_value for axis in (1, 3)}
    if channels[1] == 3:
        return "NCHW"
    return "NHWC" if channels[3] == 3 or tensor.elem_type == TensorProto.UINT8 else "NCHW"


def settled(model: ModelProto, path: Path, said: Preprocessing | None) -> Preprocessing:
    """The preprocessing of a network whose file does not say it: layout and type are the graph's, the rest was said.

    Args:
        model: the network.
        path: its file, for the sentence.
        said: mean, std, scale and channel order, None where nothing was said.

    Raises:
        ModelError: when it takes floats channels last and nothing was said, or something else than images.
        UsageError: when it takes uint8, and something was said.
    """
    source = image_input(model, path)
    kind, layout = source.type.tensor_type.elem_type, input_layout(source)
    channels = source.type.tensor_type.shape.dim[1 if layout == "NCHW" else 3].dim_value
    if channels not in (0, 3):
        raise ModelError(f"{path}: its input {source.name!r} has {channels} channels; a backbone takes RGB pictures")
    if kind not in DTYPES:
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"{path}: its input {source.name!r} is {name}; a backbone takes uint8 or float images")
    if kind == TensorProto.UINT8:
        if said:
            raise UsageError(f"{path}: takes uint8 pixels and normalises them itself; leave out --mean, --std, ...")
        return Preprocessing(layout, "uint8", mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
    if layout == "NHWC" and said is None:
        raise ModelError(
            f"{path}: takes floats with the channels last, as TensorFlow's networks do, and they differ in what they "
            "expect; say it with --mean, --std, --scale, --channel-order (for pixels in -1..1: --mean 1,1,1 "
            "--std 1,1,1 --scale 0.00784313725)"
        )
    return replace(said or TORCHVISION, layout=layout, dtype=DTYPES[kind])


def take_float32(model: ModelProto) -> None:
    """Gives a network whose images are of another floating-point type an input of float32, and a Cast behind it."""
    for source in open_inputs(model):
        tensor = source.type.tensor_type
        if len(tensor.shape.dim) == 4 and tensor.elem_type in OTHER_FLOATS:
            cast = helper.make_node("Cast", [f"{source.name}.float32"], [source.name], to=tensor.elem_type)
            model.graph.node.insert(0, cast)
            source.name, tensor.elem_type = f"{source.name}.float32", TensorProto.FLOAT


def fill_inputs(model: ModelProto, constants: Mapping[str, float], path: Path) -> None:
    """Makes inputs beside the image constant.

    Args:
        model: the network, changed in place.
        constants: a value for each input by name; it fills the input's whole shape, free axes taken as 1.
        path: its file, for the sentence.

    Raises:
        UsageError: for a name that is no such input.
        ModelError: when its type is none of numbers, or its shape is too large.
    """
    sources = {source.name: source for source in open_inputs(model)}
    for name, value in constants.items():
        if name not in sources:
            raise UsageError(f"{path}: has no input {name!r} to make constant; it has {', '.join(sources)}")
        tensor = sources[name].type.tensor_type
        shape = [axis.dim_value or 1 for axis in tensor.shape.dim]
        if np.prod(shape, dtype=float) > LARGEST_CONSTANT:
            raise ModelError(f"{path}: its input {name!r} has the shape {shape}, too large to be a constant")
        try:
            values = np.full(shape, value).astype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        except (KeyError, NotImplementedError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: its input {name!r} is not of numbers, so no constant fits") from error
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        if model.ir_version >= 4:  # older files list their initializers among the inputs
            model.graph.input.remove(sources[name])


def refuse_further_inputs(model: ModelProto, path: Path, layer: str) -> None:
    """Refuses a network that needs more than the image.

    Raises:
        ModelError: with the way out.
    """
    image = image_input(model, path)
    if further := [source.name for source in open_inputs(model) if source.name != image.name]:
        options = " ".join(f"--constant {name}=VALUE" for name in further)
        raise ModelError(
            f"{path}: layer {layer!r} needs {', '.join(map(repr, further))} beside the image {image.name!r}; make a "
            f"file in which this is constant: dff-onnx cut {path.name} --layer {layer} {options} -o FILE"
        )
