"""`dff-onnx export`, and the scripts of `exporters/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import weight_files as files
from random_weights import weights
from typer.testing import CliRunner

from dff_onnx.backbone.metadata import Metadata
from dff_onnx.cli import app
from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.records import Preprocessing

EXPORTERS = Path(__file__).parents[2] / "exporters"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return files.write(tmp_path / "w.pth", "zip", weights("squeezenet1_1", "fire4"))


def metadata(path: Path) -> Metadata:
    found = Metadata.from_properties({p.key: p.value for p in onnx.load(path).metadata_props}, str(path))
    assert found is not None
    return found


def command(*words: object) -> str:
    """Runs `dff-onnx export`; returns what people see."""
    result = CliRunner().invoke(app, ["export", *map(str, words)], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, "")
    return result.stderr


def test_the_command_writes_the_layers_and_says_so_on_stderr(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    said = command("squeezenet1_1", "--weights", checkpoint, "--layer", "fire4", "--layer", "pool1", "-o", out)
    assert [layer.name for layer in metadata(out).layers] == ["pool1", "fire4"]
    for words in ("layer pool1: 64 channels, stride 4", "layer fire4: 256 channels, stride 8", "uint8 NHWC"):
        assert words in said


def test_without_a_layer_the_command_says_which_it_took(checkpoint: Path, tmp_path: Path) -> None:
    said = command("squeezenet1_1", "--weights", checkpoint, "-o", tmp_path / "out.onnx")
    assert "layer fire4" in said
    assert "the deepest layer in these weights" in said


def test_the_preprocessing_options_arrive_in_the_file(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    words = ("--mean", "103.939,116.779,123.68", "--std", "1,1,1", "--scale", "1", "--channel-order", "BGR")
    command("squeezenet1_1", "--weights", checkpoint, "-o", out, *words)
    expected = Preprocessing(channels="BGR", mean=(103.939, 116.779, 123.68), std=(1, 1, 1), scale=1.0)
    assert metadata(out).preprocessing == expected
    command("squeezenet1_1", "--weights", checkpoint, "-o", out, "--input", "float")
    assert metadata(out).preprocessing == Preprocessing(layout="NCHW", dtype="float32")


def test_the_defaults_of_the_command_are_those_of_the_library(checkpoint: Path, tmp_path: Path) -> None:
    command("squeezenet1_1", "--weights", checkpoint, "-o", tmp_path / "out.onnx")
    assert metadata(tmp_path / "out.onnx").preprocessing == Preprocessing()


@pytest.mark.parametrize("mean", ["1,2", "1,2,x", "1,2,3,4", ""])
def test_a_mean_that_is_not_three_figures_is_refused(checkpoint: Path, tmp_path: Path, mean: str) -> None:
    with pytest.raises(UsageError, match="--mean: three figures"):
        command("squeezenet1_1", "--weights", checkpoint, "-o", tmp_path / "x.onnx", "--mean", mean)


def test_nothing_is_written_when_the_weights_do_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        command("resnet18", "--weights", checkpoint, "-o", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def script(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, EXPORTERS / f"{name}.py", *words]
    return subprocess.run([str(word) for word in line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "architecture", "layer"),
    [("vgg", "vgg13_bn", "relu1_1"), ("resnet", "resnet18", "layer1.0"), ("squeezenet", "squeezenet1_1", "fire2")],
)
def test_the_script_of_each_family_writes_a_file(tmp_path: Path, name: str, architecture: str, layer: str) -> None:
    path, out = files.write(tmp_path / "w", "legacy", weights(architecture, layer)), tmp_path / "out.onnx"
    done = script(name, architecture, "--weights", path, "--layer", layer, "--input", "float", "-o", out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [made.name for made in metadata(out).layers] == [layer]
    assert metadata(out).preprocessing.dtype == "float32"


def test_a_script_refuses_in_one_sentence_with_the_exit_code(tmp_path: Path) -> None:
    done = script("vgg", "vgg19", "--weights", tmp_path / "none.pth", "-o", tmp_path / "out.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("vgg.py: ")
    assert done.stderr.count("\n") == 1
