"""What a run depends on that is no setting: the versions of what computes, the machine's memory."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

from dff_onnx.errors import UsageError

NAMES = (
    "dff-onnx", "numpy", "scipy", "onnx", "pillow", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino",
)  # fmt: skip
UNKNOWN = 8 * 2**30  # bytes, where the system does not say
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def versions() -> dict[str, str]:
    """Of what results depend on."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def processor() -> str:
    """What kind this machine's is: sums of another kind are rounded otherwise."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{platform.machine()} {line.partition(':')[2].strip()}"
    return f"{platform.machine()} {platform.processor()}"


def machine_memory() -> int:
    """Bytes that this process may come to have: the machine's, or its container's."""
    most = UNKNOWN
    with contextlib.suppress(AttributeError, OSError, ValueError):  # Windows has no sysconf
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # a container without a limit says `max`
            most = min(most, int(Path(file).read_text(encoding="ascii")))
    return most


def bytes_of(text: str, option: str = "--memory") -> int:
    """A size as a person writes it.

    Raises:
        UsageError: when it is none.

    >>> bytes_of("4GB"), bytes_of("512 MiB"), bytes_of("0")
    (4000000000, 536870912, 0)
    """
    words = text.strip().upper()
    number = words.rstrip("KMGTIB ")
    unit = words[len(number) :].strip().removesuffix("B")
    if unit not in UNITS or not number.replace(".", "", 1).isdecimal() or not number.isascii() or len(number) > 18:
        raise UsageError(f"{option}: a size such as 4GB or 512MiB is needed, found {text!r}")
    return int(float(number) * UNITS[unit])
