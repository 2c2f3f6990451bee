"""A distillation from end to end: small teachers, a few pictures, PyTorch."""

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

from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import CheckpointError, OutputError, UsageError
from dff_onnx.export import export_file
from dff_onnx.export.compact import HEAD, compact
from dff_onnx.export.distillation import train
from dff_onnx.export.distillation.distill import distill
from dff_onnx.export.distillation.settings import Distillation, TeacherAt
from dff_onnx.export.distillation.student import forward, initial
from dff_onnx.export.exporter import write_network

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_here")]

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blobs on plain ground, and one file that is no picture."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    y, x = np.mgrid[:80, :100]
    for i in range(9):
        centre, colour = rng.integers(20, 60, 2), rng.integers(0, 255, 3)
        blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 200)[..., None]
        Image.fromarray((blob * colour + (1 - blob) * 90).astype(np.uint8)).save(folder / f"{i}.png")
    (folder / "4b.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    path = write_safetensors(folder / "w.safetensors", weights("squeezenet1_1"))
    export_file("squeezenet1_1", path, folder / "teacher.onnx", ["fire5"])
    return folder / "teacher.onnx"


@pytest.fixture
def plan(teacher: Path) -> Distillation:
    at = TeacherAt(teacher, None, 64)
    return Distillation(
        (at,), (at,), channels=16, size=64, crops=2, held_out=2, epochs=3, batch=4, seed=3, student="compact_bn"
    )


def quiet(_line: str) -> None:
    """Takes the lines of progress."""


def test_a_student_learns_and_its_file_serves(photographs: Path, plan: Distillation, tmp_path: Path) -> None:
    lines: list[str] = []
    made = distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, say=lines.append)
    assert "left out: 4b.png" in lines
    assert len(made.log) == 3
    assert made.log[-1]["loss"] < made.log[0]["loss"]
    backbone = Backbone.open(tmp_path / "s.onnx")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 96, 64, 3), np.uint8)
    answer = np.asarray(backbone(pixels))
    assert answer.shape == (2, 16 - made.pruned, 6, 4)
    assert backbone.nonnegative
    said = {p.key: p.value for p in onnx.load(tmp_path / "s.onnx").metadata_props}
    assert json.loads(said["dff.distillation"])["teachers"] == [{"file": "teacher.onnx", "layer": None, "size": 64}]


def test_the_graph_computes_what_the_training_saw(tmp_path: Path) -> None:
    import torch

    rng = np.random.default_rng(0)
    network = compact(24, normalised=True)
    values = {name: a + rng.uniform(0, 0.1, a.shape).astype(np.float32) for name, a in initial(network, 0).items()}
    pixels = rng.integers(0, 255, (2, 64, 96, 3), np.uint8)
    tensors = {name: torch.from_numpy(a) for name, a in values.items()}
    expected = forward(network, tensors, torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), training=False).numpy()
    from dff_onnx.export import open_checkpoint

    with open_checkpoint(write_safetensors(tmp_path / "w.safetensors", values)) as checkpoint:
        write_network(network, checkpoint, tmp_path / "s.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "s.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": pixels})
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-5 * expected.max()


@pytest.mark.parametrize("stopped", ["in the cache", "in the training"])
def test_a_stopped_distillation_goes_on_to_the_same_bytes(
    stopped: str, photographs: Path, plan: Distillation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distill(photographs, tmp_path / "whole", tmp_path / "whole.onnx", plan, say=quiet)

    def stop(line: str) -> None:
        if line.startswith("left out" if stopped == "in the cache" else "epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(photographs, tmp_path / "parts", tmp_path / "parts.onnx", plan, say=stop)
    assert not (tmp_path / "parts.onnx").exists()
    epochs: list[int] = []
    inner = train._epoch
    monkeypatch.setattr(train, "_epoch", lambda *given: epochs.append(given[-1]) or inner(*given))
    distill(photographs, tmp_path / "parts", tmp_path / "parts.onnx", plan, say=quiet)
    assert epochs == ([1, 2, 3] if stopped == "in the cache" else [3])
    assert (tmp_path / "parts.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()


def test_other_settings_do_not_go_on(photographs: Path, plan: Distillation, tmp_path: Path) -> None:
    distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, say=quiet)
    with pytest.raises(UsageError, match="is of other settings or another beginning; choose another --work"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", replace(plan, rate=0.01), say=quiet)
    begin = write_safetensors(tmp_path / "begin.safetensors", initial(compact(16, normalised=True), 9))
    with pytest.raises(UsageError, match="another beginning"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, begin, say=quiet)
    with pytest.raises(UsageError, match="is of another training"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", replace(plan, seed=4), say=quiet)
    other = onnx.load(plan.teachers[0].path)
    other.doc_string = "another network of the same name"
    onnx.save(other, tmp_path / "teacher.onnx")
    namesake = TeacherAt(tmp_path / "teacher.onnx", None, 64)
    with pytest.raises(UsageError, match="is of another training"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", replace(plan, teachers=(namesake,)), say=quiet)


def test_channels_that_never_answer_are_pruned(photographs: Path, plan: Distillation, tmp_path: Path) -> None:
    begin = initial(compact(16, normalised=True), 0)
    begin[f"{HEAD}.norm.bias"][5] = -1e6
    path = write_safetensors(tmp_path / "begin.safetensors", begin)
    made = distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, path, say=quiet)
    assert made.pruned >= 1
    assert made.exported.metadata.layers[0].channels == 16 - made.pruned


def test_a_checkpoint_that_fits_nowhere_is_refused(photographs: Path, plan: Distillation, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "begin.safetensors", {"x": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match="no parameter fits compact_bn"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, path, say=quiet)


def test_the_script_reports_a_mistake_in_one_sentence(photographs: Path, tmp_path: Path) -> None:
    words = [photographs, "--work", tmp_path / "w", "-o", tmp_path / "s.onnx", "--teacher", tmp_path / "none.onnx"]
    ended = subprocess.run(
        [sys.executable, ROOT / "exporters" / "distill.py", *words, "--held-out", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "none.onnx: there is no such file" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_photographs_that_cannot_be_read_are_said(plan: Distillation, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    for i in range(4):
        (tmp_path / "p" / f"{i}.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="no photograph to learn from"):
        distill(tmp_path / "p", tmp_path / "w", tmp_path / "s.onnx", plan, say=quiet)


def test_a_damaged_cache_is_said(photographs: Path, plan: Distillation, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "pixels.npy").write_bytes(b"nothing")
    with pytest.raises(OutputError, match=r"pixels\.npy: cannot be used as a cache"):
        distill(photographs, tmp_path / "w", tmp_path / "s.onnx", plan, say=quiet)


def test_the_loss_is_what_it_is_said_to_be() -> None:
    import torch

    rng = np.random.default_rng(0)
    wanted = rng.gamma(0.5, size=(2, 8, 3, 3)).astype(np.float32)
    wanted /= np.sqrt(np.square(wanted).mean())
    answer = wanted + rng.random(wanted.shape, np.float32)
    error = np.square(answer - wanted).mean()
    lengths = [np.linalg.norm(values, axis=1) for values in (answer, wanted)]
    cosine = ((answer * wanted).sum(1) / (lengths[0] * lengths[1])).mean()
    length = np.square(lengths[0] - lengths[1]).mean() / 8
    found = train._loss(torch.from_numpy(answer), torch.from_numpy(wanted))
    assert float(found) == pytest.approx(error + 0.5 * (1 - cosine) + length, rel=1e-4)
    assert float(train._loss(torch.from_numpy(wanted), torch.from_numpy(wanted))) == pytest.approx(0, abs=1e-5)
