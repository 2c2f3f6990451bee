"""Arrays on a device that NumPy cannot reach: code that keeps to the standard runs there."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np

DEVICE, HOST = (array_api_strict.Device(name) for name in ("device1", "CPU_DEVICE"))


def away(array: Any) -> Any:
    return array_api_strict.asarray(array, device=DEVICE)


def home(array: Any) -> Any:
    assert array.device == DEVICE
    return np.asarray(array.to_device(HOST))
