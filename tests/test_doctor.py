"""The doctor on sick machines."""

from __future__ import annotations

from importlib import metadata

import pytest

import dff_onnx.backbone.runtime as runtime
import dff_onnx.doctor as doctor
from dff_onnx.errors import DeviceError


def finding(what: str) -> doctor.Finding:
    return next(found for found in doctor.examine() if found.what == what)


def test_two_onnx_runtimes_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    both = {"onnxruntime": ["onnxruntime-gpu", "onnxruntime"]}
    monkeypatch.setattr(metadata, "packages_distributions", lambda: both)
    found = finding("ONNX Runtime")
    assert not found.good and "pip uninstall onnxruntime onnxruntime-gpu, then pip install" in found.advice
    monkeypatch.setattr(metadata, "packages_distributions", dict)
    assert "exactly one is needed" in finding("ONNX Runtime").advice


def test_what_an_uninstalled_twin_took_along_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("onnxruntime.InferenceSession")
    found = finding("ONNX Runtime")
    assert not found.good and "files are not all there" in found.found and "pip uninstall onnxruntime" in found.advice
    with pytest.raises(DeviceError, match=r"damaged.*dff-onnx doctor"):
        runtime.load_runtime()


def test_a_driver_without_libraries_gets_the_librarys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    if runtime.driver_present():
        pytest.skip("there is a CUDA driver")
    monkeypatch.setattr(runtime, "missing_library", lambda device: {"cuda": "libcudnn.so.9"}.get(device, "libnvinfer"))
    monkeypatch.setattr(runtime, "driver_present", lambda: True)
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    monkeypatch.setattr(runtime, "create_session", lambda *_: None)
    monkeypatch.setattr(runtime, "device_of_session", lambda _: "cpu")
    found = finding("backbone on")
    assert not found.good and "does not find libcudnn.so.9: pip install 'dff-onnx[cuda]'" in found.advice
    assert finding("TensorRT").good and "libnvinfer" in finding("TensorRT").found
