"""Networks in half precision: read, made, compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from nets import branching, by_hand, model, picture, plain, saved, weights
from onnx import TensorProto, helper, numpy_helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import list_layers
from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.errors import ModelError
from dff_onnx.images import Resize, read_picture


def test_a_float16_network_takes_float32_and_gives_float32(tmp_path: Path) -> None:
    made = plain()
    for tensor in made.graph.initializer:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for info in (*made.graph.input, *made.graph.output):
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    path = saved(made, tmp_path)
    layer = {c.name: c for c in list_layers(load_model(path).model, path)}["relu2"]
    assert layer.dtype == "float16" and layer.nonnegative
    found = Backbone.open(path, "relu2", device="cpu")(picture())
    expected = by_hand(plain(), "relu2", to_input(picture(), TORCHVISION))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-2)
    again = saved(cut(load_model(path), ["relu2"], preprocessing=TORCHVISION), tmp_path, "cut.onnx")
    onnx.checker.check_model(onnx.load(again), full_check=True)
    np.testing.assert_array_equal(Backbone.open(again, device="cpu")(picture()), found)


def test_half_precision_halves_the_file_and_barely_moves_the_features(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "models" / "squeezenet1_1.onnx"
    layer = "/fires.7/Concat_output_0"
    file = load_model(path)
    whole, half = (
        cut(file, [layer], preprocessing=TORCHVISION),
        cut(file, [layer], preprocessing=TORCHVISION, float16=True),
    )
    assert half.ByteSize() < 0.52 * whole.ByteSize()
    onnx.checker.check_model(half, full_check=True)
    pixels = read_picture(sorted((real_data / "photos").iterdir())[7], Resize()).pixels[None]
    values = [Backbone.open(saved(made, tmp_path, "x.onnx"), device="cpu")(pixels) for made in (whole, half)]
    one, other = (value.ravel() / np.linalg.norm(value) for value in values)
    assert 0.9999 < one @ other < 1 and values[1].dtype == np.float32


@pytest.mark.parametrize("between", ["figure", "quantized", "branch"])
def test_odd_graphs_are_halved_too(between: str, tmp_path: Path) -> None:
    if between == "branch":
        made = branching()
    else:
        nodes = {
            "figure": [
                helper.make_node("Constant", [], ["two"], value_float=2.0),
                helper.make_node("Mul", ["conv1", "two"], ["x"]),
            ],
            "quantized": [
                helper.make_node("QuantizeLinear", ["conv1", "step"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "step"], ["x"]),
            ],
        }[between]
        made = model(
            [
                helper.make_node("Conv", ["image", "w1"], ["conv1"]),
                *nodes,
                helper.make_node("Relu", ["x"], ["end"]),
            ],
            [weights("w1", 8, 3, 3, 3), numpy_helper.from_array(np.array(0.01, np.float32), "step")],
            "end",
            8,
        )
    file = load_model(saved(made, tmp_path))
    half = saved(cut(file, ["end"], preprocessing=TORCHVISION, float16=True, size=64), tmp_path, "half.onnx")
    values = Backbone.open(file.path, "end", device="cpu")(picture())
    np.testing.assert_allclose(Backbone.open(half, device="cpu")(picture()), values, atol=2e-2, rtol=1e-2)


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    big = numpy_helper.from_array(np.full((8, 3, 3, 3), 1e6, np.float32), "w1")
    nodes = [helper.make_node("Conv", ["image", "w1"], ["conv1"]), helper.make_node("Relu", ["conv1"], ["end"])]
    file = load_model(saved(model(nodes, [big], "end", 8), tmp_path))
    with pytest.raises(ModelError, match="float16"):
        cut(file, ["end"], float16=True, size=64)
