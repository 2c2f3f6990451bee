"""The GPU's ways, on machines that have none: what ONNX Runtime is asked for, in which order, and what is missing."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nets import plain, saved

import dff_onnx.backbone.cuda_graphs as graphs_file
import dff_onnx.backbone.runtime as runtime
import dff_onnx.backbone.session as session_file
from dff_onnx.backbone.cuda_graphs import MOST_SHAPES, CudaGraphs
from dff_onnx.backbone.runtime import Accelerator
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import DeviceError, OutputError

ENGINES = Path("engines/here")
ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("device", "accelerator", "expected"),
    [
        ("cpu", Accelerator(), ["CPUExecutionProvider"]),
        ("auto", Accelerator(ENGINES), [("CUDAExecutionProvider", {}), "CPUExecutionProvider"]),
        (
            "cuda",
            Accelerator(cuda_graph=True),
            [("CUDAExecutionProvider", {"enable_cuda_graph": "1"}), "CPUExecutionProvider"],
        ),
        (
            "tensorrt",
            Accelerator(ENGINES),
            [
                (
                    "TensorrtExecutionProvider",
                    {
                        "trt_engine_cache_enable": "1",
                        "trt_timing_cache_enable": "1",
                        "trt_engine_cache_path": "engines/here",
                        "trt_timing_cache_path": "engines/here",
                    },
                ),
                ("CUDAExecutionProvider", {}),
                "CPUExecutionProvider",
            ],
        ),
        (
            "tensorrt",
            Accelerator(),
            [("TensorrtExecutionProvider", {}), ("CUDAExecutionProvider", {}), "CPUExecutionProvider"],
        ),
    ],
)
def test_providers_are_asked_for_in_order(
    device: Any, accelerator: Accelerator, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "driver_present", lambda: True)
    there = SimpleNamespace(get_available_providers=lambda: ALL)
    assert runtime._providers(there, device, accelerator) == expected
    monkeypatch.setattr(runtime, "driver_present", lambda: False)
    assert runtime._providers(there, device, accelerator) == ["CPUExecutionProvider"]


def test_networks_of_other_weights_share_no_engines(tmp_path: Path) -> None:
    one, other = (runtime._engines_of(model, tmp_path / "engines") for model in (b"one", b"other"))
    assert one != other and one.is_dir() and other.is_dir() and one == runtime._engines_of(b"one", tmp_path / "engines")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be made for TensorRT's engines"):
        runtime._engines_of(b"one", tmp_path / "file")


def test_cuda_graphs_without_cupy_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = runtime.create_session
    monkeypatch.setattr(session_file, "create_session", lambda model, *_: started(model, "cpu"))
    monkeypatch.setattr(session_file, "cuda_present", lambda: False)
    with pytest.raises(DeviceError, match="CUDA graphs give arrays of CuPy"):
        Backbone.open(saved(plain(), tmp_path), "relu2", device="cuda", accelerator=Accelerator(cuda_graph=True))


@pytest.mark.parametrize(("device", "asked"), [("cuda", "CUDA"), ("tensorrt", "TensorRT")])
def test_a_device_that_is_not_there_is_an_error(device: Any, asked: str, tmp_path: Path) -> None:
    if runtime.driver_present():
        pytest.skip("there is a CUDA driver")
    with pytest.raises(DeviceError, match=f"{asked} was asked for, but no CUDA driver"):
        Backbone.open(saved(plain(), tmp_path), "relu2", device=device)
    with pytest.raises(DeviceError, match="CUDA graphs were asked for, and the network runs on cpu"):
        Backbone.open(saved(plain(), tmp_path), "relu2", device="auto", accelerator=Accelerator(cuda_graph=True))


def test_the_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").write_bytes(b"")
    monkeypatch.setattr(runtime, "load_runtime", lambda: SimpleNamespace(__file__=str(tmp_path / "__init__.py")))

    def refused(_path: str) -> None:
        raise OSError("libcublasLt.so.13: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", refused)
    assert runtime.missing_library("cuda") == "libcublasLt.so.13"
    assert runtime.missing_library("tensorrt") == "libonnxruntime_providers_tensorrt.so"
    monkeypatch.setattr(runtime, "driver_present", lambda: True)
    there = SimpleNamespace(get_available_providers=lambda: ALL)
    assert runtime._why_not(there, "cuda").endswith("does not find libcublasLt.so.13 (pip install 'dff-onnx[cuda]')")
    assert "pip install tensorrt" in runtime._why_not(there, "tensorrt")
    assert "built without it" in runtime._why_not(SimpleNamespace(get_available_providers=list), "cuda")


def test_what_the_linker_says_names_the_library() -> None:
    """On machines with the GPU build of ONNX Runtime and no CUDA, its own provider is the example."""
    missing = runtime.missing_library("cuda")
    assert missing == "" or ".so" in missing or ".dll" in missing


class Value:
    """Memory on a device, as ONNX Runtime hands it out."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def shape(self) -> list[int]:
        return list(self.array.shape)

    def update_inplace(self, array: Any) -> None:
        self.array[...] = array

    def copy(self) -> Any:
        return self.array.copy()


class Session:
    """Doubles what it gets, and writes down what it was asked."""

    def __init__(self) -> None:
        self.log: list[tuple[str, tuple[int, ...]]] = []

    def get_inputs(self) -> Any:
        return [SimpleNamespace(name="image")]

    def get_outputs(self) -> Any:
        return [SimpleNamespace(name="activations")]

    def io_binding(self) -> Any:
        bound = SimpleNamespace(synchronize_outputs=lambda: None)
        bound.bind_cpu_input = lambda _name, values: setattr(bound, "source", Value(values))
        bound.bind_output = lambda _name, _device, _number: setattr(bound, "result", None)
        bound.bind_ortvalue_input = lambda _name, value: setattr(bound, "source", value)
        bound.bind_ortvalue_output = lambda _name, value: setattr(bound, "result", value)
        bound.get_outputs = lambda: [bound.result]
        return bound

    def run_with_iobinding(self, bound: Any, options: Any) -> None:
        values = bound.source.array * 2.0
        self.log.append((options.entries["gpu_graph_id"], values.shape))
        if bound.result is None:
            bound.result = Value(values)
        else:
            bound.result.array[...] = values


class Options:
    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    def add_run_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value


def test_each_shape_is_captured_once_and_what_it_gave_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(
        ortvalue_from_numpy=lambda array, _device, _number: Value(array.copy()),
        ortvalue_from_shape_and_type=lambda shape, kind, _device, _number: Value(np.zeros(shape, kind)),
    )
    monkeypatch.setattr(graphs_file, "load_runtime", lambda: SimpleNamespace(OrtValue=made, RunOptions=Options))
    monkeypatch.setattr(graphs_file, "from_cuda", lambda value: value)
    session = Session()
    run = CudaGraphs(session)
    first = run(np.full((2, 3), 1.0, np.float32))
    second = run(np.full((2, 3), 5.0, np.float32))
    assert first.tolist() == [[2.0] * 3] * 2 and second.tolist() == [[10.0] * 3] * 2
    assert session.log == [("-1", (2, 3)), ("1", (2, 3)), ("1", (2, 3))]
    for width in range(4, 4 + MOST_SHAPES):
        run(np.zeros((2, width), np.float32))
    assert session.log[-1] == ("-1", (2, 3 + MOST_SHAPES))  # one shape too many: no graph for it
    assert {graph for graph, _ in session.log} == {"-1", *map(str, range(1, MOST_SHAPES + 1))}
