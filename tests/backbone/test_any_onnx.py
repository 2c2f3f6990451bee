"""ONNX files of every kind: old and new opsets, other types, other layouts, further inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from nets import by_hand, channels_last, model, picture, plain, saved, weights
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import list_layers
from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Preprocessing

HALF = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 21, 23])
def test_every_opset_from_7_gives_the_same(opset: int, tmp_path: Path) -> None:
    made = plain()  # its operators have not changed since
    made.opset_import[0].version = opset
    made.ir_version = 3 if opset == 7 else 8 if opset < 20 else 10
    if opset == 7:  # files of that time list their initializers among the inputs
        for tensor in made.graph.initializer:
            made.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    path = saved(made, tmp_path)
    assert [c.name for c in list_layers(load_model(path).model, path)][-1] == "conv3"
    found = Backbone.open(path, "relu2", device="cpu")(picture())
    np.testing.assert_array_equal(found, by_hand(plain(), "relu2", to_input(picture(), TORCHVISION)))
    assert "image" in [source.name for source in cut(load_model(path), ["relu1"]).graph.input]


def test_the_newest_opset_that_onnx_runtime_reads_is_read(tmp_path: Path) -> None:
    made = plain()
    made.opset_import[0].version = onnx.defs.onnx_opset_version()
    try:
        Backbone.open(saved(made, tmp_path), "relu2", device="cpu")
    except ModelError as error:  # onnx may be ahead of ONNX Runtime, which then says so
        assert "opset" in str(error)


def test_tokens_that_become_a_grid_have_their_channels_last(tmp_path: Path) -> None:
    sizes = {"flat": [0, 8, -1], "grid": [-1, 16, 16, 12]}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["conv1"], strides=[4, 4]),
        helper.make_node("Reshape", ["conv1", "flat"], ["tokens"]),
        helper.make_node("Transpose", ["tokens"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "w2"], ["mixed"]),
        helper.make_node("Reshape", ["mixed", "grid"], ["cells"]),
        helper.make_node("Relu", ["cells"], ["end"]),
    ]
    tensors = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in sizes.items()]
    made = model(nodes, [weights("w1", 8, 3, 4, 4), weights("w2", 8, 12), *tensors], "end", 12, ("n", 3, 64, 64))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("end", TensorProto.FLOAT, ["n", 16, 16, 12]))
    path = saved(made, tmp_path)
    found = list_layers(load_model(path).model, path)[-1]
    assert (found.channels, found.height, found.width, found.stride, found.layout) == (12, 16, 16, 4, "NHWC")
    backbone = Backbone.open(path, "end", device="cpu")
    assert backbone(picture(2, 64, 64)).shape == (2, 12, 16, 16)


def test_a_size_that_is_declared_free_and_is_not(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Add", ["conv1", "place"], ["placed"]),
        helper.make_node("Relu", ["placed"], ["end"]),
    ]
    made = model(nodes, [weights("w1", 8, 3, 3, 3), weights("place", 1, 8, 32, 32)], "end", 8)
    path = saved(made, tmp_path)
    found = list_layers(load_model(path).model, path, 64)
    assert [(c.name, c.stride) for c in found] == [("conv1", 2), ("placed", 2), ("end", 2)]
    assert cut(load_model(path), ["end"], size=64).graph.output[0].name == "end"


def test_the_stride_of_a_fixed_size_is_that_of_the_windows(real_data: Path, tmp_path: Path) -> None:
    made = load_model(real_data / "models" / "squeezenet1_1.onnx").model
    for axis, value in zip(made.graph.input[0].type.tensor_type.shape.dim, (1, 3, 224, 224), strict=True):
        axis.dim_value = value
    strides = {c.name: c.stride for c in list_layers(load_model(saved(made, tmp_path)).model, tmp_path)}
    assert strides["/fires.7/Concat_output_0"] == 16


@pytest.mark.parametrize("channels", [1, 4])
def test_pictures_that_are_not_rgb_are_refused(channels: int, tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["image", "w1"], ["conv1"]), helper.make_node("Relu", ["conv1"], ["end"])]
    made = model(nodes, [weights("w1", 8, channels, 3, 3)], "end", 8, ("n", channels, "h", "w"))
    with pytest.raises(ModelError, match=f"has {channels} channels; a backbone takes RGB"):
        Backbone.open(saved(made, tmp_path), "end", device="cpu")


def test_float64_pixels_are_made_of_float32(tmp_path: Path) -> None:
    made = plain()
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    made.graph.node[0].input[0] = "narrow"
    made.graph.node.insert(0, helper.make_node("Cast", ["image"], ["narrow"], to=TensorProto.FLOAT))
    found = Backbone.open(saved(made, tmp_path), "relu2", device="cpu")(picture())
    np.testing.assert_array_equal(found, by_hand(plain(), "relu2", to_input(picture(), TORCHVISION)))


@pytest.mark.parametrize("shape", [("n", "h", "w", 3), (1, 40, 56, 3)])
def test_channels_last_are_understood_at_the_input_and_at_the_layer(shape: tuple[Any, ...], tmp_path: Path) -> None:
    path = saved(channels_last(shape), tmp_path)
    found = {c.name: c for c in list_layers(load_model(path).model, path)}
    assert {name: c.layout for name, c in found.items()} == {
        "conv1": "NCHW", "last": "NHWC", "biased": "NHWC", "relu1": "NHWC",
    }  # fmt: skip
    assert (found["relu1"].channels, found["relu1"].stride) == (8, 2)
    with pytest.raises(ModelError, match=r"channels last.*--mean"):
        Backbone.open(path, "relu1", device="cpu")
    backbone = Backbone.open(path, "relu1", device="cpu", preprocessing=HALF)
    assert backbone.fingerprint.preprocessing.layout == "NHWC" and backbone.fixed == (None, None, None)
    values = picture().astype(np.float32) / np.float32(127.5) - 1
    expected = by_hand(channels_last(), "relu1", values)
    np.testing.assert_allclose(backbone(picture()), expected.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5)
    stamped = saved(cut(load_model(path), ["relu1"], preprocessing=HALF), tmp_path, "cut.onnx")
    np.testing.assert_array_equal(Backbone.open(stamped, device="cpu")(picture()), backbone(picture()))


def test_uint8_pixels_need_no_words(tmp_path: Path) -> None:
    path = saved(channels_last(kind=TensorProto.UINT8), tmp_path)
    backbone = Backbone.open(path, "relu1", device="cpu")
    expected = by_hand(channels_last(kind=TensorProto.UINT8), "relu1", picture())
    np.testing.assert_array_equal(backbone(picture()), expected.transpose(0, 3, 1, 2))
    with pytest.raises(UsageError, match="takes uint8 pixels"):
        Backbone.open(path, "relu1", device="cpu", preprocessing=HALF)


def with_flag() -> ModelProto:
    """A layer that asks for a flag and a factor, and one before them that does not."""
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Mul", ["relu1", "factor"], ["scaled"]),
        helper.make_node("Where", ["training", "scaled", "relu1"], ["chosen"]),
        helper.make_node("Relu", ["chosen"], ["relu2"]),
    ]
    made = model(nodes, [weights("w1", 8, 3, 3, 3)], "relu2", 8)
    made.graph.input.append(helper.make_tensor_value_info("factor", TensorProto.FLOAT, []))
    made.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, [1]))
    return made


def test_further_inputs_are_made_constant(tmp_path: Path) -> None:
    path = saved(with_flag(), tmp_path)
    assert [c.name for c in list_layers(load_model(path).model, path)] == [
        "conv1", "relu1", "scaled", "chosen", "relu2",
    ]  # fmt: skip
    assert Backbone.open(path, "relu1", device="cpu")(picture()).shape == (2, 8, 40, 56)
    with pytest.raises(ModelError, match=r"'factor', 'training'.*--constant factor=VALUE --constant training=VALUE"):
        Backbone.open(path, "relu2", device="cpu")
    with pytest.raises(UsageError, match="no input 'tempo'"):
        load_model(path, {"tempo": 1})
    file = load_model(path, {"factor": 0.5, "training": 1})
    made = saved(cut(file, ["relu2"]), tmp_path, "cut.onnx")
    found = Backbone.open(made, device="cpu")(picture())
    np.testing.assert_allclose(found, Backbone.open(path, "relu1", device="cpu")(picture()) * 0.5, rtol=1e-6)


def test_two_images_are_one_too_many(tmp_path: Path) -> None:
    made = plain()
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["n", 3, "h", "w"]))
    with pytest.raises(ModelError, match=r"one image input.*image \(4 axes\), other \(4 axes\)"):
        Backbone.open(saved(made, tmp_path), "relu2", device="cpu")


def test_local_functions_are_written_out(tmp_path: Path) -> None:
    body = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    opsets = [helper.make_opsetid("", 20)]
    function = helper.make_function("of.mine", "Turned", ["x"], ["z"], body, opsets)
    made = model(
        [
            helper.make_node("Conv", ["image", "w1"], ["conv1"]),
            helper.make_node("Turned", ["conv1"], ["end"], domain="of.mine"),
        ],
        [weights("w1", 8, 3, 3, 3)],
        "end",
        8,
    )
    made.functions.append(function)
    made.opset_import.append(helper.make_opsetid("of.mine", 1))
    path = saved(made, tmp_path)
    assert Backbone.open(path, "end", device="cpu").nonnegative
    assert [c.operator for c in list_layers(load_model(path).model, path)] == ["Conv", "Neg", "Relu"]


def test_negative_features_are_rectified_or_split(tmp_path: Path) -> None:
    path = saved(plain(), tmp_path)
    plainly = Backbone.open(path, "conv3", device="cpu")
    values = plainly(picture())
    assert not plainly.nonnegative and plainly.neighbours == ("relu2",) and values.min() < 0
    rectified = Backbone.open(path, "conv3", device="cpu", sign="rectify")
    assert rectified.fingerprint.layer == "conv3_rectified" and rectified.nonnegative
    np.testing.assert_array_equal(rectified(picture()), np.maximum(values, 0))
    split = Backbone.open(path, "conv3", device="cpu", sign="split")
    assert split.fingerprint.layer == "conv3_split"
    both = split(picture())
    np.testing.assert_array_equal(both[:, :9] - both[:, 9:], values)
    assert both.min() == 0
    made = saved(cut(load_model(path), ["conv3"], sign="split", preprocessing=TORCHVISION), tmp_path, "split.onnx")
    np.testing.assert_array_equal(Backbone.open(made, device="cpu")(picture()), both)
