"""Networks that get a new, pooled end."""

from __future__ import annotations

import subprocess
import sys
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

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export import open_checkpoint
from dff_onnx.export.gap import convert, gap_network, gap_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arrays = {name: values.astype(np.float32) for name, values in weights("squeezenet1_1", "fire3").items()}
    return files.write(tmp_path_factory.mktemp("w") / "s.safetensors", "safetensors", arrays)


def begin(path: Path, classes: int = 3, layer: str = "fire3", **options: Any) -> dict[str, NDArray[np.float32]]:
    with open_checkpoint(path) as checkpoint:
        return gap_weights(gap_network("squeezenet1_1", layer, classes, **options), "squeezenet1_1", checkpoint)


def test_the_network_is_the_papers() -> None:
    made = gap_network("vgg16", "relu5_3", 1000)
    kinds = [type(step).__name__ for step in made.steps[-4:]]
    assert kinds == ["Conv", "Join", "GlobalPool", "Linear"]
    assert made.expected["cam_conv.weight"] == (1024, 512, 3, 3)
    assert made.expected["cam_fc.weight"] == (1000, 1024)
    assert [layer.name for layer in made.layers[-2:]] == ["relu5_3", "cam_relu"]
    assert made.layers[-1].stride == 16  # 14x14 cells on 224 pixels: pool5 is gone
    assert "features.28.weight" in made.expected
    assert not any(name.startswith("classifier") for name in made.expected)


def test_a_stage_may_be_named_by_its_alias_and_what_lies_behind_it_is_left_out() -> None:
    made = gap_network("resnet18", "layer3", 7, channels=64)
    assert made.expected["cam_conv.weight"] == (64, 256, 3, 3)
    assert not any(name.startswith("layer4") for name in made.expected)
    assert made.layers[-2].name == "layer3.1"


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_the_converted_file_computes_convolution_relu_pooling_and_a_linear_layer(
    pool: Any, squeezenet: Path, tmp_path: Path
) -> None:
    start = begin(squeezenet, channels=16)
    start |= {"cam_fc.weight": np.random.default_rng(2).normal(size=(3, 16)).astype(np.float32)}
    start |= {
        "cam_fc.bias": np.array([1, -2, 3], np.float32),
        "cam_conv.bias": np.linspace(-1, 1, 16, dtype=np.float32),
    }
    path, out = files.write(tmp_path / "w", "safetensors", start), tmp_path / "out.onnx"
    convert("squeezenet1_1", path, "fire3", 3, out, channels=16, pool=pool)
    model = onnx.load(out)
    info = next(v for v in model.graph.value_info if v.name == "fire3")
    model.graph.output.append(info)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    features, logits, source = session.run(["cam_relu", "logits", "fire3"], {"image": pixels})
    padded = np.pad(source.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = [[correlate(image, kernel, "valid")[0] for kernel in start["cam_conv.weight"]] for image in padded]
    expected = np.maximum(np.array(maps) + start["cam_conv.bias"][:, None, None], 0)
    assert np.abs(features - expected).max() <= 1e-5 * expected.max()
    pooled = expected.mean((2, 3)) if pool == "avg" else expected.max((2, 3))
    assert logits == pytest.approx(pooled @ start["cam_fc.weight"].T + start["cam_fc.bias"], rel=1e-4)
    assert Backbone.open(out).fingerprint.layer == "cam_relu"


def test_new_layers_are_drawn_and_the_linear_one_says_nothing_yet(squeezenet: Path) -> None:
    start, again = begin(squeezenet), begin(squeezenet)
    assert start.keys() == gap_network("squeezenet1_1", "fire3", 3).expected.keys()
    assert all(np.array_equal(start[name], again[name]) for name in start)
    assert start["cam_conv.weight"].std() == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.01)
    for name in ("cam_conv.bias", "cam_fc.weight", "cam_fc.bias"):
        assert not start[name].any()


def test_what_was_converted_before_is_taken_as_it_is(squeezenet: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    convert("squeezenet1_1", squeezenet, "fire3", 3, first, seed=1)
    convert("squeezenet1_1", first, "fire3", 3, second, seed=2)
    assert first.read_bytes() == second.read_bytes()
    convert("squeezenet1_1", squeezenet, "fire3", 3, second, seed=2)
    assert first.read_bytes() != second.read_bytes()
    with pytest.raises(
        CheckpointError, match=r"cam_fc\.weight has the shape \(3, 1024\), not \(4, 1024\): it was conv"
    ):
        begin(first, classes=4)
    with pytest.raises(CheckpointError, match=r"cam_conv\.weight has the shape .* it was converted for other"):
        begin(first, channels=512)


def test_half_a_converted_end_is_refused(squeezenet: Path, tmp_path: Path) -> None:
    start = begin(squeezenet)
    del start["cam_fc.weight"]
    with pytest.raises(CheckpointError, match=r"has some of cam_conv\.bias, .* only"):
        begin(files.write(tmp_path / "w", "safetensors", start))


def test_a_checkpoint_that_ends_before_the_layer_is_refused(squeezenet: Path) -> None:
    with pytest.raises(CheckpointError, match=r"stops at fire3 .* so it has no fire9"):
        begin(squeezenet, layer="fire9")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"layer": "relu7"}, "squeezenet1_1 has no layer 'relu7'"),
        ({"pool": "sum"}, "pool: 'sum' is not one of avg, max"),
        ({"classes": 0}, "at least 1 class"),
        ({"channels": 0}, "8 channels are needed, found 3 and 0"),
    ],
)
def test_a_network_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        gap_network("squeezenet1_1", **({"layer": "fire3", "classes": 3} | options))


def test_googlenet_keeps_its_own_preprocessing(tmp_path: Path) -> None:
    arrays = {name: a.astype(np.float32) for name, a in weights("googlenet", "inception3a").items()}
    path = files.write(tmp_path / "w", "safetensors", arrays)
    convert("googlenet", path, "inception3a", 3, tmp_path / "x.onnx", channels=16)
    assert Backbone.open(tmp_path / "x.onnx").fingerprint.preprocessing.mean == (0.5, 0.5, 0.5)


def test_the_script_writes_a_start_and_refuses_in_one_sentence(squeezenet: Path, tmp_path: Path) -> None:
    words = ["squeezenet1_1", "--weights", squeezenet, "--layer", "fire3", "--classes", "3", "--channels", "16", "-o"]
    line = [sys.executable, str(ROOT / "exporters" / "gap.py"), *map(str, words)]
    done = subprocess.run([*line, str(tmp_path / "s.safetensors")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "squeezenet1_1-gap, cam_relu 16 channels, stride 4, 3 classes" in done.stderr
    done = subprocess.run([*line, str(tmp_path / "s.pth")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gap.py: ")
    assert done.stderr.count("\n") == 1
