"""Deep Feature Factorization on ONNX Runtime: find what pictures have in common.

The public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives.
_HOMES: dict[str, str] = {
    "Backbone": "dff_onnx.backbone.session",
    "DFF": "dff_onnx.factorization",
    "DffError": "dff_onnx.errors",
    "Discovery": "dff_onnx.runs.discovery",
    "Factorization": "dff_onnx.factorization",
    "Preprocessing": "dff_onnx.records",
    "Resize": "dff_onnx.images",
    "Settings": "dff_onnx.runs.settings",
    "discover": "dff_onnx.runs.discover",
    "embedded_model": "dff_onnx.backbone.embedded",
    "factorize": "dff_onnx.factorization",
    "find_model": "dff_onnx.zoo",
    "run": "dff_onnx.runs.run",
}

__all__ = [
    "DFF",
    "Backbone",
    "DffError",
    "Discovery",
    "Factorization",
    "Preprocessing",
    "Resize",
    "Settings",
    "__version__",
    "discover",
    "embedded_model",
    "factorize",
    "find_model",
    "run",
]

if TYPE_CHECKING:
    from dff_onnx.backbone.embedded import embedded_model
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.errors import DffError
    from dff_onnx.factorization import DFF, Factorization, factorize
    from dff_onnx.images import Resize
    from dff_onnx.records import Preprocessing
    from dff_onnx.runs.discover import discover
    from dff_onnx.runs.discovery import Discovery
    from dff_onnx.runs.run import run
    from dff_onnx.runs.settings import Settings
    from dff_onnx.zoo import find_model


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dff_onnx' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
