"""What is installed, and what really runs: most troubles with devices are found by asking."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import dff_onnx.backbone.runtime as runtime
from dff_onnx.arrays import cuda_present
from dff_onnx.errors import DeviceError
from dff_onnx.threads import available_cores


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        what: was looked at.
        found: there.
        good: whether it is as it should be; a missing GPU is.
        advice: what to do where it is not.
    """

    what: str
    found: str
    good: bool = True
    advice: str = ""

    @property
    def mark(self) -> str:
        """`ok` or `!!`, for the eye."""
        return "ok" if self.good else "!!"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def examine() -> list[Finding]:
    """Everything the doctor looks at, in order.

    >>> examine()[0].what
    'dff-onnx'
    """
    return [
        Finding("dff-onnx", _version("dff-onnx")),
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(Finding(name, _version(name)) for name in ("numpy", "scipy", "onnx", "pillow")),
        _runtime_distributions(),
        _cores(),
        *(_cuda() if _is_whole() else ()),
        _cupy(),
    ]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed as a distribution"


def _runtime_distributions() -> Finding:
    """`onnxruntime` and `onnxruntime-gpu` overwrite each other's files: exactly one may be there."""
    owners = sorted(set(metadata.packages_distributions().get("onnxruntime", [])))
    found = ", ".join(f"{owner} {_version(owner)}" for owner in owners) or "none"
    if len(owners) == 1 and _is_whole():
        return Finding("ONNX Runtime", found)
    if len(owners) == 1:  # the other one was uninstalled, and took files of this one with it
        cure = f"pip uninstall {owners[0]}, then pip install dff-onnx"
        return Finding("ONNX Runtime", f"{found}, but its files are not all there", False, cure)
    names = " ".join(owners)
    remove = f"pip uninstall {names}, then " if owners else ""
    return Finding("ONNX Runtime", found, False, f"exactly one is needed: {remove}pip install dff-onnx")


def _is_whole() -> bool:
    try:
        runtime.load_runtime()
    except DeviceError:
        return False
    return True


def _cores() -> Finding:
    forced = os.environ.get("OPENBLAS_CORETYPE")
    note = f", OPENBLAS_CORETYPE={forced} forces NumPy's kernels" if forced else ""
    return Finding("cores", f"{available_cores()} of {os.cpu_count()} may be used{note}")


def _cuda() -> list[Finding]:
    if not runtime.driver_present():
        return [Finding("CUDA driver", "none; everything runs on the CPU"), Finding("backbone on", "cpu")]
    device = runtime.device_of_session(runtime.create_session(_one_node(), "auto"))
    good = device == "cuda"
    missing = "" if good else runtime.missing_library("cuda")
    why = f"does not find {missing}" if missing else "cannot use it"
    advice = "" if good else f"the driver is there, but ONNX Runtime {why}: pip install 'dff-onnx[cuda]'"
    tensorrt = runtime.missing_library("tensorrt")
    return [
        Finding("CUDA driver", "present"),
        Finding("backbone on", device, good, advice),
        Finding("TensorRT", f"not there ({tensorrt} is missing)" if tensorrt else "there (--device tensorrt)"),
    ]


def _one_node() -> bytes:
    """A model that a session can really be made of: what it comes back with is the truth."""
    from onnx import TensorProto, helper

    axes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", axes[:1], axes[1:])
    opset = helper.make_opsetid("", 20)
    data: bytes = helper.make_model(graph, ir_version=10, opset_imports=[opset]).SerializeToString()
    return data


def _cupy() -> Finding:
    if cuda_present():
        return Finding("factorization on", "cuda (CuPy)")
    installed = metadata.packages_distributions().get("cupy", [])
    why = f"{installed[0]} is installed but sees no device" if installed else "CuPy is not installed"
    driver = runtime.driver_present()
    return Finding("factorization on", f"cpu ({why})", not driver, "pip install 'dff-onnx[cuda]'" if driver else "")
