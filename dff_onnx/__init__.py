"""Deep Feature Factorization on ONNX Runtime: find what pictures have in common.

The public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives.
_HOMES: dict[str, str] = {
    "DffError": "dff_onnx.errors",
}

__all__ = ["DffError", "__version__"]

if TYPE_CHECKING:
    from dff_onnx.errors import DffError


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dff_onnx' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
