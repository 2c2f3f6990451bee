"""ONNX Runtime itself: its import, the driver, the session's options, and the truth about the device."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from dff_onnx.errors import DeviceError, OutputError, UsageError
from dff_onnx.threads import available_cores

Device = Literal["auto", "cpu", "cuda", "tensorrt"]
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
DEVICES = {CUDA: "cuda", TENSORRT: "tensorrt"}

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

        if not hasattr(onnxruntime, "InferenceSession"):
            raise DeviceError(
                "ONNX Runtime is damaged: another package of it was uninstalled and took its files along; "
                "`dff-onnx doctor` says the cure"
            )
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


@dataclass(frozen=True, slots=True)
class Accelerator:
    """How a GPU is used, where one is.

    Attributes:
        engines: folder for TensorRT's engines, which take minutes to build (each network gets one of its own in it);
            None keeps none.
        cuda_graph: capture one graph for each shape of batch, and replay it.
    """

    engines: Path | None = None
    cuda_graph: bool = False


def create_session(
    model: bytes, device: Device, threads: int | None = None, accelerator: Accelerator | None = None
) -> Session:
    """A session that runs where it was asked to, or an error.

    Args:
        model: a serialized ONNX model.
        device: `auto` takes CUDA where a session really comes back with it, never TensorRT.
        threads: of one operator; all available cores by default.
        accelerator: how a GPU is used.

    Raises:
        DeviceError: when `cuda` or `tensorrt` was asked for and the session came back without it.
        OutputError: when TensorRT's folder cannot be written.
    """
    if device not in get_args(Device):
        raise UsageError(f"device: {device!r} is not one of {', '.join(get_args(Device))}")
    runtime, accelerator = load_runtime(), accelerator or Accelerator()
    if device == "tensorrt" and accelerator.engines:
        accelerator = replace(accelerator, engines=_engines_of(model, accelerator.engines))
    session = _session(runtime, model, _providers(runtime, device, accelerator), threads)
    found = device_of_session(session)
    if device in ("cuda", "tensorrt") and found != device:
        asked = {"cuda": "CUDA", "tensorrt": "TensorRT"}[device]
        raise DeviceError(
            f"{asked} was asked for, but {_why_not(runtime, device)}; `dff-onnx doctor` shows what is installed"
        )
    if accelerator.cuda_graph and found != "cuda":
        raise DeviceError(f"CUDA graphs were asked for, and the network runs on {found}; use --device cuda")
    return session


def _engines_of(model: bytes, folder: Path) -> Path:
    """A network's own folder: TensorRT tells engines apart by names of nodes, and other weights would share one."""
    engines = folder / hashlib.sha256(model).hexdigest()[:16]
    try:
        engines.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{engines}: cannot be made for TensorRT's engines ({error.strerror})") from error
    return engines


def device_of_session(session: Session) -> str:
    """Where it really runs, after its creation."""
    return DEVICES.get(session.get_providers()[0], "cpu")


def missing_library(device: str) -> str:
    """The first library that ONNX Runtime's provider for a device does not find, empty where it finds all.

    >>> missing_library("no such device")
    'libonnxruntime_providers_no such device.so'
    """
    folder = Path(load_runtime().__file__).parent / "capi"
    name = f"onnxruntime_providers_{device}.dll" if sys.platform == "win32" else f"libonnxruntime_providers_{device}.so"
    if not (folder / name).is_file():
        return name
    try:
        ctypes.CDLL(str(folder / name))
    except OSError as error:
        # glibc: `libcublasLt.so.13: cannot open shared object file: No such file or directory`.
        library, colon, _ = str(error).partition(":")
        return library if colon and ".so" in library else str(error)
    return ""


def _providers(runtime: Any, device: Device, accelerator: Accelerator) -> list[Any]:
    here = runtime.get_available_providers() if device != "cpu" and driver_present() else []
    providers: list[Any] = []
    if device == "tensorrt" and TENSORRT in here:
        kept = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
        where = ("trt_engine_cache_path", "trt_timing_cache_path")
        engines = accelerator.engines
        providers.append((TENSORRT, kept | dict.fromkeys(where, str(engines)) if engines else {}))
    if CUDA in here:
        providers.append((CUDA, {"enable_cuda_graph": "1"} if accelerator.cuda_graph else {}))
    return [*providers, "CPUExecutionProvider"]


def _session(runtime: Any, model: bytes, providers: list[Any], threads: int | None) -> Session:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    # Spinning threads burn the cores that decode pictures, and win nothing (docs/architecture.md has the figures).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    with stdout_is_for_results():
        return runtime.InferenceSession(model, options, providers=providers)


def _why_not(runtime: Any, device: str) -> str:
    provider = {name: provider for provider, name in DEVICES.items()}[device]
    if not driver_present():
        return "no CUDA driver is on this machine"
    if provider not in runtime.get_available_providers():
        return "this ONNX Runtime was built without it (install onnxruntime-gpu, or dff-onnx[cuda])"
    library = missing_library(device)
    cure = "pip install tensorrt" if device == "tensorrt" else "pip install 'dff-onnx[cuda]'"
    return f"ONNX Runtime does not find {library} ({cure})" if library else "ONNX Runtime could not start it"


def runtime_errors() -> tuple[type[Exception], ...]:
    """Everything a session raises; ONNX Runtime's exceptions have no common ancestor of their own."""
    load_runtime()
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)
