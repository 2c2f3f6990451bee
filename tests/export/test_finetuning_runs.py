"""A fine-tuning from end to end: a small network, a few pictures, PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from random_weights import weights
from weight_files import write_safetensors

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import UsageError
from dff_onnx.export import open_checkpoint
from dff_onnx.export.finetuning import train
from dff_onnx.export.finetuning.finetune import TRAINED, finetune
from dff_onnx.export.finetuning.settings import Finetuning
from dff_onnx.export.gap import gap_network
from dff_onnx.export.torch_runner import normalised, run
from dff_onnx.records import Preprocessing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_here")]

ROOT = Path(__file__).parents[2]
CLASSES = ("across", "down", "plain")
PLAN = Finetuning(
    "squeezenet1_1", "fire3", channels=32, size=64, crops=2, held_out=0.34, epochs=12, batch=8, rate=1e-2, seed=3
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes across, stripes down, no stripes, in any colour; and one file that is no picture."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    y, x = np.mgrid[:70, :90]
    for name, along in zip(CLASSES, (y, x, np.zeros_like(x)), strict=True):
        (folder / name).mkdir()
        for i in range(12):
            wave = np.sin(along * rng.uniform(0.5, 0.9) + rng.uniform(0, 6)) * rng.uniform(0.5, 1)
            picture = (128 + wave[..., None] * rng.uniform(50, 100, 3) + rng.normal(0, 8, (70, 90, 3))).clip(0, 255)
            Image.fromarray(picture.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    (folder / "plain" / "12.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    arrays = {
        name: (rng.normal(0, np.sqrt(2 / np.prod(a.shape[1:])), a.shape) if a.ndim == 4 else 0 * a).astype(np.float32)
        for name, a in weights("squeezenet1_1", "fire3").items()
    }
    return write_safetensors(tmp_path_factory.mktemp("w") / "trunk.safetensors", arrays)


def quiet(_line: str) -> None:
    """Takes the lines of progress."""


@pytest.mark.parametrize(("pool", "everything"), [("avg", False), ("max", False), ("avg", True)])
def test_it_learns_and_the_file_says_what_pytorch_says(
    pool: str, everything: bool, photographs: Path, trunk: Path, tmp_path: Path
) -> None:
    import torch

    lines: list[str] = []
    plan = replace(PLAN, pool=pool, everything=everything)
    made = finetune(photographs, trunk, tmp_path / "w", tmp_path / "net.v1.onnx", plan, lines.append)
    assert "left out: plain/12.png" in lines
    assert len(made.log) == 12
    assert made.log[-1]["loss"] < made.log[0]["loss"] / 2
    assert made.accuracy >= 0.8  # a guess is right in a third
    assert made.classes == CLASSES
    assert made.names == tmp_path / "net.v1.classes.txt"
    assert made.names.read_text() == "across\ndown\nplain\n"
    network = gap_network("squeezenet1_1", "fire3", 3, 32, plan.pool)
    with open_checkpoint(tmp_path / "w" / TRAINED) as checkpoint:
        arrays = {name: torch.from_numpy(checkpoint.array(name)) for name in checkpoint.shapes}
    with open_checkpoint(trunk) as checkpoint:
        kept = all(np.array_equal(arrays[name].numpy(), checkpoint.array(name)) for name in checkpoint.shapes)
    assert kept is not everything
    pixels = np.random.default_rng(0).integers(0, 255, (3, 80, 64, 3), np.uint8)
    image = {INPUT: normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), Preprocessing())}
    expected = [x.numpy() for x in run(network.steps, arrays, image, ["cam_relu", "logits"])]
    session = onnxruntime.InferenceSession(made.exported.path, providers=["CPUExecutionProvider"])
    for found, values in zip(session.run(["cam_relu", "logits"], {"image": pixels}), expected, strict=True):
        assert np.abs(found - values).max() <= 1e-4 * max(1, np.abs(values).max())


def test_the_file_is_a_backbone_and_has_its_head(photographs: Path, trunk: Path, tmp_path: Path) -> None:
    made = finetune(photographs, trunk, tmp_path / "w", tmp_path / "net.onnx", replace(PLAN, epochs=2), quiet)
    model = onnx.load(made.exported.path)
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert held["cam_fc.weight"].shape == (3, 32)
    said = {p.key: p.value for p in model.metadata_props}
    assert json.loads(said["dff.finetuning"])["accuracy"] == made.accuracy
    backbone = Backbone.open(made.exported.path)
    assert backbone.nonnegative
    assert np.asarray(backbone(np.zeros((2, 64, 96, 3), np.uint8))).shape[:2] == (2, 32)
    assert made.exported.classes == 3


@pytest.mark.parametrize("stopped", ["features 37", "epoch 2"])
@pytest.mark.parametrize("everything", [False, True])
def test_a_stopped_training_goes_on_to_the_same_bytes(
    stopped: str, everything: bool, photographs: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(PLAN, epochs=3, everything=everything)
    stopped = stopped.replace("features", "pixels") if everything else stopped
    finetune(photographs, trunk, tmp_path / "whole", tmp_path / "whole.onnx", plan, quiet)

    def stop(line: str) -> None:
        if line.startswith(stopped):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(photographs, trunk, tmp_path / "parts", tmp_path / "parts.onnx", plan, stop)
    assert not (tmp_path / "parts.onnx").exists()
    epochs: list[int] = []
    inner = train._epoch
    monkeypatch.setattr(train, "_epoch", lambda *given: epochs.append(given[-1]) or inner(*given))
    finetune(photographs, trunk, tmp_path / "parts", tmp_path / "parts.onnx", plan, quiet)
    assert epochs == ([3] if stopped == "epoch 2" else [1, 2, 3])
    assert (tmp_path / "parts.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()


def test_other_settings_do_not_go_on(photographs: Path, trunk: Path, tmp_path: Path) -> None:
    plan, work, out = replace(PLAN, epochs=1), tmp_path / "w", tmp_path / "x.onnx"
    finetune(photographs, trunk, work, out, plan, quiet)
    with pytest.raises(UsageError, match="is of other settings or another beginning"):
        finetune(photographs, trunk, work, out, replace(plan, rate=0.02), quiet)
    with pytest.raises(UsageError, match="is of another training"):
        finetune(photographs, trunk, work, out, replace(plan, seed=4), quiet)
    with pytest.raises(UsageError, match="is of another training"):
        finetune(photographs, trunk, work, out, replace(plan, preprocessing=Preprocessing(scale=0.01)), quiet)


def test_batch_norms_are_trained_but_keep_the_figures_they_gathered(photographs: Path, tmp_path: Path) -> None:
    arrays = {name: values.astype(np.float32) for name, values in weights("resnet18", "layer1.0").items()}
    path = write_safetensors(tmp_path / "w.safetensors", arrays)
    plan = replace(PLAN, architecture="resnet18", layer="layer1.0", everything=True, epochs=1, batch=4)
    made = finetune(photographs, path, tmp_path / "w", tmp_path / "x.onnx", plan, quiet)
    with open_checkpoint(tmp_path / "w" / TRAINED) as checkpoint:
        trained = {name: checkpoint.array(name) for name in checkpoint.shapes}
    for name, values in arrays.items():
        assert np.array_equal(trained[name], values) is (".running_" in name), name
    assert made.exported.metadata.architecture == "resnet18-gap"


def test_training_goes_on_from_what_was_trained(photographs: Path, trunk: Path, tmp_path: Path) -> None:
    first = finetune(photographs, trunk, tmp_path / "a", tmp_path / "a.onnx", PLAN, quiet)
    more = replace(PLAN, epochs=1, rate=1e-4, everything=True)
    second = finetune(photographs, tmp_path / "a" / TRAINED, tmp_path / "b", tmp_path / "b.onnx", more, quiet)
    assert second.log[0]["loss"] < first.log[0]["loss"] / 2


def test_a_class_without_a_picture_that_can_be_read_is_said(trunk: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "p" / name / f"{i}.png").write_bytes(b"no picture")
    for i in range(3):
        Image.new("RGB", (64, 64)).save(tmp_path / "p" / "a" / f"{i}.png")
    with pytest.raises(UsageError, match="class 'b' has no picture to learn from that can be read"):
        finetune(tmp_path / "p", trunk, tmp_path / "w", tmp_path / "x.onnx", replace(PLAN, epochs=1), quiet)


def test_the_script_trains_and_reports_a_mistake_in_one_sentence(
    photographs: Path, trunk: Path, tmp_path: Path
) -> None:  # fmt: skip
    words = [photographs, "squeezenet1_1", "--weights", trunk, "--layer", "fire3", "--work", tmp_path / "w"]
    words += ["-o", tmp_path / "x.onnx", "--channels", "16", "--size", "64", "--epochs", "1", "--crops", "1"]
    line = [sys.executable, str(ROOT / "exporters" / "finetune.py"), *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "epoch 1: loss" in done.stderr
    assert "x.classes.txt: 3 classes" in done.stderr
    done = subprocess.run([*line, "--rate", "2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "finetune.py: rate: a figure between 0 and 1 is needed, found 2.0\n"
