from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from nets import branching, gated, picture, plain, saved
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from dff_onnx.backbone.cut import cut, rows_model
from dff_onnx.backbone.graph import default_layer, list_layers, metadata_of, resolve_layer
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.nonnegative import nonnegative_tensors
from dff_onnx.errors import ModelError, UsageError
from dff_onnx.records import Preprocessing

REAL = {
    "squeezenet1_1": ("/fires.7/Concat_output_0", 512, 16),
    "mobilenetv2-cam": ("features", 1280, 32),
    "resnet50v2-stage3": ("features", 1024, 16),
}


def run(made: ModelProto, names: list[str], image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values: list[NDArray[np.float32]] = session.run(names, {"image": image})
    return values


def with_outputs(made: ModelProto, names: list[str]) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(made)
    have = {output.name for output in copy.graph.output}
    copy.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in have)
    return copy


def image(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height).normal(0, 1, (2, 3, height, width)).astype(np.float32)


def test_layers_have_channels_stride_and_sign(tmp_path: Path) -> None:
    found = {c.name: c for c in list_layers(plain(), tmp_path)}
    assert list(found) == ["conv1", "relu1", "pool1", "conv2", "relu2", "conv3"]
    assert [c.nonnegative for c in found.values()] == [False, True, True, False, True, False]
    assert [c.stride for c in found.values()] == [1, 1, 2, 2, 2, 2]
    assert found["relu2"].channels == 16 and found["relu2"].height == 112


def test_gates_are_no_features(tmp_path: Path) -> None:
    assert [c.name for c in list_layers(gated(), tmp_path)] == ["conv1", "silu"]


@pytest.mark.parametrize("name", REAL)
def test_no_tensor_said_to_be_non_negative_ever_is_negative(name: str, real_data: Path) -> None:
    made = load_model(real_data / "models" / f"{name}.onnx").model
    names = [c.name for c in list_layers(made, real_data, 64) if c.nonnegative]
    assert names and set(names) <= nonnegative_tensors(made.graph)
    for values in run(with_outputs(made, names), names, image(64, 96)):
        assert values.min() >= 0


@pytest.mark.parametrize("name", REAL)
def test_real_networks_list_their_last_features(name: str, real_data: Path) -> None:
    layer, channels, stride = REAL[name]
    path = real_data / "models" / f"{name}.onnx"
    found = {c.name: c for c in list_layers(load_model(path).model, path)}
    assert (found[layer].channels, found[layer].stride, found[layer].nonnegative) == (channels, stride, True)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 130)])
@pytest.mark.parametrize("name", REAL)
def test_a_cut_real_network_is_bit_equal_to_the_whole(name: str, height: int, width: int, real_data: Path) -> None:
    layer = REAL[name][0]
    file = load_model(real_data / "models" / f"{name}.onnx")
    made = cut(file, [layer])
    assert len(made.graph.node) <= len(file.model.graph.node)
    pixels = image(height, width)
    whole, part = (run(m, [layer], pixels)[0] for m in (with_outputs(file.model, [layer]), made))
    assert whole.tobytes() == part.tobytes()


@pytest.mark.parametrize(("net", "layers"), [(plain, ["relu1", "relu2"]), (branching, ["chosen"]), (gated, ["silu"])])
def test_a_cut_network_is_bit_equal_at_two_sizes(net: object, layers: list[str], tmp_path: Path) -> None:
    whole = net()  # type: ignore[operator]
    made = cut(load_model(saved(whole, tmp_path)), layers)
    for size in ((32, 32), (47, 60)):
        pixels = image(*size)
        for one, other in zip(run(with_outputs(whole, layers), layers, pixels), run(made, layers, pixels), strict=True):
            assert one.tobytes() == other.tobytes()


def test_a_rectified_cut_has_no_negative_value(tmp_path: Path) -> None:
    made = cut(load_model(saved(plain(), tmp_path)), ["conv3"], sign="rectify")
    values = run(made, ["conv3_rectified"], image(32, 32))[0]
    assert values.min() == 0 and values.max() > 0
    assert list_layers(made, tmp_path)[-1].nonnegative


def test_a_cut_says_its_preprocessing_when_told(tmp_path: Path) -> None:
    half = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
    path = saved(plain(), tmp_path)
    assert metadata_of(cut(load_model(path), ["relu2"]), path) is None
    stamped = saved(cut(load_model(path), ["relu1", "relu2"], preprocessing=half), tmp_path, "stamped.onnx")
    said = metadata_of(load_model(stamped).model, stamped)
    assert said is not None and said.preprocessing == half and said.weights_sha256 == load_model(path).sha256
    assert [layer.name for layer in said.layers] == ["relu1", "relu2"] and said.layers[1].stride == 2
    assert default_layer(load_model(stamped).model, stamped) == "relu2"
    again = cut(load_model(stamped), ["relu1"])
    assert metadata_of(again, stamped).weights_sha256 == said.weights_sha256  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="says its preprocessing itself"):
        cut(load_model(stamped), ["relu1"], preprocessing=Preprocessing())


def test_names_are_tensors_or_nodes_and_others_get_the_nearest(tmp_path: Path) -> None:
    assert resolve_layer(plain(), "relu2", tmp_path) == "relu2"
    assert resolve_layer(plain(), "rectifier", tmp_path) == "relu1"
    with pytest.raises(ModelError, match=r"no layer 'relu3'; the nearest: .*relu2"):
        resolve_layer(plain(), "relu3", tmp_path)
    with pytest.raises(ModelError, match=r"no layer 'ELU'; the nearest: relu1, relu2 \("):
        resolve_layer(plain(), "ELU", tmp_path)
    with pytest.raises(ModelError, match=r"no layer 'xyz'; the last: .*relu2"):
        resolve_layer(plain(), "xyz", tmp_path)


def test_without_a_name_the_only_grid_is_taken_or_candidates_are_said(tmp_path: Path) -> None:
    assert default_layer(plain(), tmp_path) == "conv3"
    several = with_outputs(plain(), ["relu1", "relu2"])
    with pytest.raises(ModelError, match=r"several outputs with a grid.*relu2"):
        default_layer(several, tmp_path)


def test_rows_lie_side_by_side(tmp_path: Path) -> None:
    pixels = image(32, 48)
    rows = run(rows_model(plain(), "relu2", tmp_path)[0], ["activations"], pixels)[0]
    (plane,) = run(with_outputs(plain(), ["relu2"]), ["relu2"], pixels)
    assert rows.tobytes() == np.ascontiguousarray(plane.transpose(0, 2, 3, 1)).tobytes()
    assert picture().dtype == np.uint8
