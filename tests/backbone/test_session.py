from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from nets import model, picture, plain, saved
from onnx import helper, numpy_helper

import dff_onnx.backbone.session as session_file
from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.image_input import TORCHVISION
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.runtime import driver_present
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.errors import DeviceError, ModelError, UsageError
from dff_onnx.records import Preprocessing
from dff_onnx.threads import available_cores


def test_activations_are_those_of_plain_onnx_runtime(tmp_path: Path) -> None:
    path = saved(plain(), tmp_path)
    backbone = Backbone.open(path, "conv3", device="cpu")
    values = backbone(picture())
    theirs = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"image": to_input(picture(), TORCHVISION)}
    )[0]
    np.testing.assert_allclose(values, theirs, rtol=1e-5, atol=1e-6)
    assert values.shape == (2, 9, 20, 28) and not backbone.nonnegative and backbone.device == "cpu"
    rows = np.moveaxis(values, 1, -1).reshape(-1, 9)
    assert np.shares_memory(rows, values)


def test_normalisation_is_the_formula() -> None:
    half = Preprocessing("NCHW", "float32", "BGR", (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), 1 / 255)
    pixels = picture(1)
    by_hand = (pixels[..., ::-1].astype(np.float64) / 255 - (0.1, 0.2, 0.3)) / (0.5, 0.6, 0.7)
    np.testing.assert_allclose(to_input(pixels, half), by_hand.transpose(0, 3, 1, 2), rtol=1e-5, atol=1e-6)
    assert to_input(pixels, Preprocessing()) is not None and to_input(pixels, Preprocessing()).dtype == np.uint8


def test_a_file_that_says_its_preprocessing_is_believed(tmp_path: Path) -> None:
    half = Preprocessing("NCHW", "float32", mean=(1.0,) * 3, std=(1.0,) * 3, scale=1 / 127.5)
    path = saved(cut(load_model(saved(plain(), tmp_path)), ["relu2"], preprocessing=half), tmp_path, "cut.onnx")
    backbone = Backbone.open(path, device="cpu")
    assert backbone.fingerprint.preprocessing == half and backbone.fingerprint.layer == "relu2"
    with pytest.raises(UsageError, match="says its preprocessing itself"):
        Backbone.open(path, preprocessing=replace(half, scale=1.0))


def test_a_network_that_fails_is_named(tmp_path: Path) -> None:
    fixed = numpy_helper.from_array(np.zeros((1, 3, 32, 32), np.float32), "fixed")
    nodes = [helper.make_node("Add", ["image", "fixed"], ["sum"]), helper.make_node("Relu", ["sum"], ["relu"])]
    backbone = Backbone.open(saved(model(nodes, [fixed], "relu", 3), tmp_path), "relu", device="cpu")
    assert backbone(picture(1, 32, 32)).shape == (1, 3, 32, 32)
    with pytest.raises(ModelError, match="network failed on 2 pictures of 56x40"):
        backbone(picture())


def test_cuda_without_a_driver_is_an_error(tmp_path: Path) -> None:
    if driver_present():
        pytest.skip("this machine has a CUDA driver")
    with pytest.raises(DeviceError, match="no CUDA driver"):
        Backbone.open(saved(plain(), tmp_path), "relu2", device="cuda")
    assert Backbone.open(saved(plain(), tmp_path), "relu2", device="auto").device == "cpu"
    with pytest.raises(UsageError, match="tpu"):
        Backbone.open(saved(plain(), tmp_path), "relu2", device="tpu")  # type: ignore[arg-type]


def test_stdout_stays_clean(tmp_path: Path) -> None:
    path = saved(plain(), tmp_path)
    code = f"from dff_onnx import Backbone; Backbone.open({str(path)!r}, 'relu2')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stdout == b""


def test_workers_fill_the_cores(tmp_path: Path) -> None:
    path = saved(plain(), tmp_path)
    assert Backbone.open(path, "relu2").workers == 2
    assert Backbone.open(path, "relu2", threads=1).workers == max(2, min(8, available_cores()))


class FakeBinding:
    """Records what is asked of it; its output is a NumPy array in the device's place."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        log.append("new")

    def bind_cpu_input(self, name: str, values: Any) -> None:
        self.values = values
        self.log.append(f"input {name}")

    def bind_output(self, name: str, device: str, number: int) -> None:
        self.log.append(f"output {name} {device} {number}")

    def synchronize_outputs(self) -> None:
        self.log.append("synchronize")

    def get_outputs(self) -> list[Any]:
        self.log.append("get")
        return [self.values.transpose(0, 2, 3, 1).copy()]


def test_on_cuda_every_batch_has_its_own_binding_and_is_synchronized_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Backbone.open(saved(plain(), tmp_path), "relu2", device="cpu")
    log: list[str] = []

    class FakeSession:
        get_inputs, get_outputs = backbone.session.get_inputs, backbone.session.get_outputs

        def io_binding(self) -> FakeBinding:
            return FakeBinding(log)

        def run_with_iobinding(self, _: FakeBinding) -> None:
            log.append("run")

    monkeypatch.setattr(session_file, "cuda_present", lambda: True)
    monkeypatch.setattr(session_file, "from_cuda", lambda owner: owner)
    on_device = replace(backbone, device="cuda", session=FakeSession())
    assert on_device(picture()).shape == (2, 3, 40, 56)
    on_device(picture())
    once = ["new", "input image", "output activations cuda 0", "run", "synchronize", "get"]
    assert log == once * 2
