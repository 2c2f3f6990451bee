"""The exported file: what it computes, what it says of itself, that it is the same each time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import weight_files as files
from numpy.typing import NDArray
from random_weights import weights
from scipy.signal import correlate

from dff_onnx.backbone.metadata import Layer, Metadata
from dff_onnx.errors import OutputError, UsageError
from dff_onnx.export import export, export_file
from dff_onnx.records import Preprocessing

OXFORD = Preprocessing(channels="BGR", mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), scale=1.0)
PIXELS = np.random.default_rng(3).integers(0, 256, (2, 9, 12, 3), np.uint8)


def run(model: Any, image: NDArray[Any]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"image": image}))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first convolution of a VGG-11 with batch norm: small enough for SciPy."""
    arrays = weights("vgg11_bn", "relu1_1")
    arrays["features.0.weight"] -= arrays["features.0.weight"].mean()
    return files.write(tmp_path_factory.mktemp("weights") / "vgg.pth", "zip", arrays)


def expected_relu(planes: NDArray[Any]) -> NDArray[Any]:
    """Convolution with zero padding, batch norm and ReLU in float64 by SciPy."""
    arrays = weights("vgg11_bn", "relu1_1")
    kernels = arrays["features.0.weight"] - arrays["features.0.weight"].mean()
    padded = np.pad(planes.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    x = np.stack([[correlate(image, kernel, "valid")[0] for kernel in kernels] for image in padded])
    gamma, beta, mean, var, bias = (
        arrays[name][:, None, None]
        for name in (*(f"features.1.{p}" for p in ("weight", "bias", "running_mean", "running_var")), "features.0.bias")
    )
    return np.maximum(gamma * (x + bias - mean) / np.sqrt(var + 1e-5) + beta, 0)


def assert_close(found: NDArray[np.float32], expected: NDArray[Any]) -> None:
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


def test_pixels_are_normalised_in_the_graph_and_padded_with_the_mean_colour(vgg: Path) -> None:
    planes = ((PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(0, 3, 1, 2)
    assert_close(run(export("vgg11_bn", vgg), PIXELS)[0], expected_relu(planes))


def test_a_network_trained_on_bgr_gets_it_from_rgb_pixels(vgg: Path) -> None:
    planes = (PIXELS[..., ::-1] - np.array([103.939, 116.779, 123.68])).transpose(0, 3, 1, 2)
    assert_close(run(export("vgg11_bn", vgg, preprocessing=OXFORD), PIXELS)[0], expected_relu(planes))


@pytest.mark.parametrize(("layout", "axes"), [("NCHW", (0, 1, 2, 3)), ("NHWC", (0, 2, 3, 1))])
def test_float_input_is_taken_as_it_is(vgg: Path, layout: Any, axes: tuple[int, ...]) -> None:
    planes = np.random.default_rng(4).normal(size=(3, 3, 7, 5)).astype(np.float32)
    model = export("vgg11_bn", vgg, preprocessing=Preprocessing(layout=layout, dtype="float32"))
    assert_close(run(model, planes.transpose(axes))[0], expected_relu(planes))


def test_uint8_planes_are_taken_too(vgg: Path) -> None:
    channels_last = run(export("vgg11_bn", vgg), PIXELS)
    channels_first = export("vgg11_bn", vgg, preprocessing=Preprocessing(layout="NCHW"))
    np.testing.assert_array_equal(run(channels_first, PIXELS.transpose(0, 3, 1, 2))[0], channels_last[0])


def test_a_scale_that_leaves_float32_is_refused(vgg: Path) -> None:
    with pytest.raises(UsageError, match="leave float32"):
        export("vgg11_bn", vgg, preprocessing=Preprocessing(scale=1e-60))


def test_the_file_says_what_it_is(vgg: Path, tmp_path: Path) -> None:
    written = export_file("vgg11_bn", vgg, tmp_path / "out" / "vgg.onnx", preprocessing=OXFORD)
    model = onnx.load(written.path)
    sha256 = hashlib.sha256(vgg.read_bytes()).hexdigest()
    expected = Metadata("vgg11_bn", (Layer("relu1_1", 1, 64, nonnegative=True),), OXFORD, sha256)
    assert Metadata.from_properties({p.key: p.value for p in model.metadata_props}, "here") == expected
    assert (written.metadata, written.size) == (expected, written.path.stat().st_size)
    assert model.ir_version == 10
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]


def test_batch_height_and_width_are_free_and_every_tensor_has_a_shape(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("resnet18", "layer3.0"))
    graph = export("resnet18", path, ["relu1", "layer3.0"]).graph
    shapes = {
        info.name: [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*graph.input, *graph.output, *graph.value_info)
    }
    assert shapes["image"] == ["n", "h", "w", 3]
    assert shapes["relu1"] == ["n", 64, "h2", "w2"]
    assert shapes["layer3.0"] == ["n", 256, "h16", "w16"]
    assert {name for node in graph.node for name in node.output} <= shapes.keys()


def test_the_shapes_written_are_those_that_run(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("squeezenet1_0"))
    layers = ["relu1", "pool1", "fire4", "pool4", "fire9"]
    found = run(export("squeezenet1_0", path, layers), PIXELS.repeat(6, axis=1).repeat(7, axis=2))
    # The formulas of torch.nn.Conv2d and MaxPool2d with ceil_mode for a 54 x 84 image.
    assert [x.shape for x in found] == [
        (2, 96, 24, 39), (2, 96, 12, 19), (2, 256, 12, 19), (2, 256, 6, 9), (2, 512, 3, 4),
    ]  # fmt: skip


def test_nothing_beyond_the_last_layer_is_in_the_file(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("resnet18"))
    graph = export("resnet18", path, ["layer1"]).graph
    assert graph.node[-1].output == ["layer1.1"]
    used = {name for node in graph.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used
    assert not any(name.startswith("layer2") for name in used)


def test_batch_norm_is_folded_away(vgg: Path) -> None:
    kinds = [node.op_type for node in export("vgg11_bn", vgg).graph.node]
    assert kinds == ["Cast", "Transpose", "Sub", "Mul", "Conv", "Relu"]


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("squeezenet1_1", "fire4"))
    written = [export_file("squeezenet1_1", path, tmp_path / f"{n}.onnx", ["fire4", "pool1"]) for n in "ab"]
    assert written[0].path.read_bytes() == written[1].path.read_bytes()


def test_a_file_that_cannot_be_written_is_reported_and_leaves_nothing(vgg: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        export_file("vgg11_bn", vgg, tmp_path / "taken" / "x.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_squeezenet_with_real_weights_equals_another_export_of_it(real_data: Path) -> None:
    models = real_data / "models"
    other = onnx.load(models / "squeezenet1_1.onnx")
    conv10 = [node for node in other.graph.node if node.op_type == "Conv"][-1]
    concat = next(node for node in reversed(other.graph.node) if node.op_type == "Concat")
    assert concat.output[0] in {conv10.input[0]} | {
        node.input[0] for node in other.graph.node if node.output[0] == conv10.input[0]
    }
    del other.graph.output[:]
    other.graph.output.append(onnx.helper.make_tensor_value_info(concat.output[0], onnx.TensorProto.FLOAT, None))
    ours = export("squeezenet1_1", models / "squeezenet1_1.safetensors")
    for size in ((2, 224, 224), (1, 97, 131), (3, 130, 65)):
        pixels = np.random.default_rng(size[1]).integers(0, 256, (*size, 3), np.uint8)
        planes = ((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(0, 3, 1, 2)
        assert_close(run(ours, pixels)[0], run(other, planes.astype(np.float32))[0])


@pytest.mark.parametrize(
    ("architecture", "file", "layer"),
    [("resnet18", "resnet18-layer3", "layer3.1"), ("vgg19", "vgg19-relu3_4", "relu3_4")],
)
def test_a_real_partial_checkpoint_exports_up_to_its_end(
    real_data: Path, tmp_path: Path, architecture: str, file: str, layer: str
) -> None:
    written = export_file(architecture, real_data / "models" / f"{file}.safetensors", tmp_path / "x.onnx")
    assert [made.name for made in written.metadata.layers] == [written.last.name] == [layer]
