"""ONNX Runtime itself: its import, the driver, the session's options, and the truth about the device."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args

from dff_onnx.errors import DeviceError, UsageError
from dff_onnx.threads import available_cores

Device = Literal["auto", "cpu", "cuda"]

# ONNX Runtime publishes no types; a session is what it is.
Session = Any


@contextlib.contextmanager
def stdout_is_for_results() -> Iterator[None]:
    """Sends what native code writes to stdout to stderr instead: ONNX Runtime prints banners there."""
    try:
        kept = os.dup(1)
    except OSError:  # there is no stdout to keep clean
        yield
        return
    sys.stdout.flush()
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def load_runtime() -> Any:
    """The `onnxruntime` module, imported without its banner, with the CUDA libraries of pip wheels where they serve."""
    with stdout_is_for_results():
        import onnxruntime

        if driver_present():
            # Without it, CUDA from pip wheels is not found; without a driver it only prints four lines.
            onnxruntime.preload_dlls()
    return onnxruntime


def driver_present() -> bool:
    """Whether a CUDA driver can be loaded at all."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def create_session(model: bytes, device: Device, threads: int | None = None) -> Session:
    """A session that runs where it was asked to, or an error.

    Args:
        model: a serialized ONNX model.
        device: `auto` takes CUDA where a session really comes back with it.
        threads: of one operator; all available cores by default.

    Raises:
        DeviceError: when `cuda` was asked for and the session came back without it.
    """
    if device not in get_args(Device):
        raise UsageError(f"device: {device!r} is not one of {', '.join(get_args(Device))}")
    runtime = load_runtime()
    session = _session(runtime, model, _providers(runtime, device), threads)
    if device == "cuda" and device_of_session(session) != "cuda":
        raise DeviceError(f"CUDA was asked for, but {_why_no_cuda(runtime)}; `dff-onnx doctor` shows what is installed")
    return session


def device_of_session(session: Session) -> str:
    """Where it really runs, after its creation."""
    return "cuda" if session.get_providers()[0] == "CUDAExecutionProvider" else "cpu"


def _providers(runtime: Any, device: Device) -> list[str]:
    cuda = device != "cpu" and driver_present() and "CUDAExecutionProvider" in runtime.get_available_providers()
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda else ["CPUExecutionProvider"]


def _session(runtime: Any, model: bytes, providers: list[str], threads: int | None) -> Session:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    # Spinning threads burn the cores that decode pictures, and win nothing (docs/architecture.md has the figures).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    with stdout_is_for_results():
        return runtime.InferenceSession(model, options, providers=providers)


def _why_no_cuda(runtime: Any) -> str:
    if not driver_present():
        return "no CUDA driver is on this machine"
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        return "this ONNX Runtime was built without it (install onnxruntime-gpu, or dff-onnx[cuda])"
    return "ONNX Runtime could not load its CUDA libraries (install dff-onnx[cuda], or match CUDA and cuDNN to it)"


def runtime_errors() -> tuple[type[Exception], ...]:
    """Everything a session raises; ONNX Runtime's exceptions have no common ancestor of their own."""
    load_runtime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)
