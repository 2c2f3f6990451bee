"""Fixed axes are freed where nothing knows the size, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import by_hand, model, picture, plain, reshaped, saved, weights
from onnx import TensorProto, helper, numpy_helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.errors import UsageError


@pytest.mark.parametrize("shape", [(1, 3, 40, 56), (1, 3, "h", "w"), ("n", 3, 40, 56)])
def test_fixed_axes_are_freed_where_the_operators_allow_it(shape: tuple[Any, ...], tmp_path: Path) -> None:
    path = saved(plain(shape), tmp_path)
    backbone = Backbone.open(path, "relu2", device="cpu")
    assert backbone.fixed == (None, None, None)
    pixels = picture(3, 64, 32)
    np.testing.assert_array_equal(backbone(pixels), Backbone.open(saved(plain(), tmp_path), "relu2")(pixels))
    freed = cut(load_model(path), ["relu2"])
    assert [axis.dim_param for axis in freed.graph.input[0].type.tensor_type.shape.dim][2:] == ["h", "w"]
    assert by_hand(freed, "relu2", to_input(pixels, TORCHVISION)).shape == (3, 16, 32, 16)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_is_filled_up_and_trimmed(batch: int, tmp_path: Path) -> None:
    fixed = Backbone.open(saved(reshaped((batch, 3, 40, 56)), tmp_path), device="cpu")
    assert fixed.fixed == (batch, 40, 56)
    pixels = picture(5)
    free = plain()
    np.testing.assert_allclose(fixed(pixels), by_hand(free, "relu1", to_input(pixels, TORCHVISION)), rtol=1e-5)
    with pytest.raises(UsageError, match="fixed height of 40, the pictures have 64"):
        fixed(picture(1, 64, 56))


def grid(*shape: int) -> Any:
    return numpy_helper.from_array(np.ones(shape, np.float32), "grid")


# What lies between a convolution of eight channels and the ReLU behind it, and whether any size will do.
BETWEEN: dict[str, tuple[list[Any], list[Any], bool]] = {
    "a scale": ([helper.make_node("Mul", ["conv1", "grid"], ["x"])], [grid()], True),
    "a scale of each channel": ([helper.make_node("Mul", ["grid", "conv1"], ["x"])], [grid(8, 1, 1)], True),
    "slopes": ([helper.make_node("PRelu", ["conv1", "grid"], ["x"])], [grid(8, 1, 1)], True),
    "a map": ([helper.make_node("Mul", ["conv1", "grid"], ["x"])], [grid(1, 1, 40, 56)], False),
    "a row": ([helper.make_node("Add", ["conv1", "grid"], ["x"])], [grid(56)], False),
    "slopes of places": ([helper.make_node("PRelu", ["conv1", "grid"], ["x"])], [grid(1, 40, 56)], False),
    "a batch": ([helper.make_node("Mul", ["conv1", "grid"], ["x"])], [grid(1, 8, 1, 1)], True),
    "coordinates": ([helper.make_node("Concat", ["conv1", "grid"], ["x"], axis=1)], [grid(1, 2, 40, 56)], False),
    "pictures side by side": ([helper.make_node("Concat", ["conv1", "conv1"], ["x"], axis=0)], [], False),
    "a computed map": (
        [helper.make_node("Neg", ["grid"], ["turned"]), helper.make_node("Mul", ["conv1", "turned"], ["x"])],
        [grid(1, 1, 40, 56)],
        False,
    ),
    "figures of a node": (
        [
            helper.make_node("Constant", [], ["row"], value_floats=[1.0] * 56),
            helper.make_node("Mul", ["conv1", "row"], ["x"]),
        ],
        [],
        False,
    ),
    "a figure of a node": (
        [helper.make_node("Constant", [], ["one"], value_float=2.0), helper.make_node("Mul", ["conv1", "one"], ["x"])],
        [],
        True,
    ),
    "padding of channels": (
        [helper.make_node("Pad", ["conv1", "pads"], ["x"])],
        [numpy_helper.from_array(np.array([0, 1, 0, 0, 0, 0, 0, 0], np.int64), "pads")],
        False,
    ),
    "padding of places": (
        [helper.make_node("Pad", ["conv1", "pads"], ["x"])],
        [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "pads")],
        True,
    ),
    "an output of fixed shape": (
        [helper.make_node("ConvTranspose", ["conv1", "grid"], ["x"], output_shape=[40, 56])],
        [grid(8, 8, 1, 1)],
        False,
    ),
    "a pooling of the whole grid": (
        [
            helper.make_node("AveragePool", ["conv1"], ["pooled"], kernel_shape=[40, 56]),
            helper.make_node("Sigmoid", ["pooled"], ["gate"]),
            helper.make_node("Mul", ["conv1", "gate"], ["x"]),
        ],
        [],
        False,
    ),
    "a global pooling": (
        [
            helper.make_node("GlobalAveragePool", ["conv1"], ["pooled"]),
            helper.make_node("Sigmoid", ["pooled"], ["gate"]),
            helper.make_node("Mul", ["conv1", "gate"], ["x"]),
        ],
        [],
        True,
    ),
    "statistics of the batch": (
        [helper.make_node("BatchNormalization", ["conv1", *["c"] * 4], ["x", "m", "v"], training_mode=1)],
        [numpy_helper.from_array(np.ones(8, np.float32), "c")],
        False,
    ),
    "a sum over places": ([helper.make_node("ReduceSum", ["conv1"], ["x"], keepdims=1)], [], False),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_axes_are_freed_where_nothing_knows_the_size(name: str, tmp_path: Path) -> None:
    between, tensors, free = BETWEEN[name]
    convolution = helper.make_node("Conv", ["image", "w1"], ["conv1"], pads=[1, 1, 1, 1])
    nodes = [convolution, *between, helper.make_node("Relu", ["x"], ["relu1"])]
    made = model(nodes, [weights("w1", 8, 3, 3, 3), *tensors], "relu1", 8, (1, 3, 40, 56))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("relu1", TensorProto.FLOAT, [None] * 4))
    backbone = Backbone.open(saved(made, tmp_path), "relu1", device="cpu")
    assert backbone.fixed == ((None, None, None) if free else (1, 40, 56))
    values = to_input(picture(1, 40, 56), TORCHVISION)
    np.testing.assert_array_equal(backbone(picture(1, 40, 56)), by_hand(made, "relu1", values))
    if free:
        assert backbone(picture(2, 64, 32)).shape[0] == 2
