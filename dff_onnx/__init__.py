"""Deep Feature Factorization on ONNX Runtime: find what pictures have in common.

The public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives.
_HOMES: dict[str, str] = {
    "ApplySettings": "dff_onnx.runs.apply",
    "Backbone": "dff_onnx.backbone.session",
    "Bank": "dff_onnx.concepts.bank",
    "CamSettings": "dff_onnx.runs.cam_settings",
    "DFF": "dff_onnx.factorization",
    "Describer": "dff_onnx.runs.descriptors",
    "DescriptorSettings": "dff_onnx.runs.descriptors",
    "DffError": "dff_onnx.errors",
    "Discovery": "dff_onnx.runs.discovery",
    "Factorization": "dff_onnx.factorization",
    "Form": "dff_onnx.deploy.form",
    "Opening": "dff_onnx.runs.opening",
    "Preprocessing": "dff_onnx.records",
    "Resize": "dff_onnx.images",
    "Settings": "dff_onnx.runs.settings",
    "apply": "dff_onnx.runs.apply",
    "choose_k": "dff_onnx.concepts.choice",
    "compile_bank": "dff_onnx.runs.compile_",
    "compile_fit": "dff_onnx.runs.compile_",
    "discover": "dff_onnx.runs.discover",
    "embedded_model": "dff_onnx.backbone.embedded",
    "factorize": "dff_onnx.factorization",
    "find_model": "dff_onnx.zoo",
    "index_folder": "dff_onnx.runs.index",
    "index_info": "dff_onnx.runs.index_info",
    "make_class_maps": "dff_onnx.runs.class_maps",
    "names_for": "dff_onnx.datasets.class_names",
    "open_classifier": "dff_onnx.runs.classifier",
    "open_for_bank": "dff_onnx.runs.opening",
    "open_index": "dff_onnx.runs.opened_index",
    "plan_index": "dff_onnx.runs.index",
    "quantize": "dff_onnx.runs.quantize",
    "read_bank": "dff_onnx.concepts.bank",
    "run": "dff_onnx.runs.run",
    "run_cam": "dff_onnx.runs.cam",
    "run_tree": "dff_onnx.runs.write_tree",
    "scores_behind": "dff_onnx.runs.faithful",
    "verify": "dff_onnx.runs.verify",
    "write_whitening": "dff_onnx.runs.whiten",
}

__all__ = [
    "DFF",
    "ApplySettings",
    "Backbone",
    "Bank",
    "CamSettings",
    "Describer",
    "DescriptorSettings",
    "DffError",
    "Discovery",
    "Factorization",
    "Form",
    "Opening",
    "Preprocessing",
    "Resize",
    "Settings",
    "__version__",
    "apply",
    "choose_k",
    "compile_bank",
    "compile_fit",
    "discover",
    "embedded_model",
    "factorize",
    "find_model",
    "index_folder",
    "index_info",
    "make_class_maps",
    "names_for",
    "open_classifier",
    "open_for_bank",
    "open_index",
    "plan_index",
    "quantize",
    "read_bank",
    "run",
    "run_cam",
    "run_tree",
    "scores_behind",
    "verify",
    "write_whitening",
]

if TYPE_CHECKING:
    from dff_onnx.backbone.embedded import embedded_model
    from dff_onnx.backbone.session import Backbone
    from dff_onnx.concepts.bank import Bank, read_bank
    from dff_onnx.concepts.choice import choose_k
    from dff_onnx.datasets.class_names import names_for
    from dff_onnx.deploy.form import Form
    from dff_onnx.errors import DffError
    from dff_onnx.factorization import DFF, Factorization, factorize
    from dff_onnx.images import Resize
    from dff_onnx.records import Preprocessing
    from dff_onnx.runs.apply import ApplySettings, apply
    from dff_onnx.runs.cam import run_cam
    from dff_onnx.runs.cam_settings import CamSettings
    from dff_onnx.runs.class_maps import make_class_maps
    from dff_onnx.runs.classifier import open_classifier
    from dff_onnx.runs.compile_ import compile_bank, compile_fit
    from dff_onnx.runs.descriptors import Describer, DescriptorSettings
    from dff_onnx.runs.discover import discover
    from dff_onnx.runs.discovery import Discovery
    from dff_onnx.runs.faithful import scores_behind
    from dff_onnx.runs.index import index_folder, plan_index
    from dff_onnx.runs.index_info import index_info
    from dff_onnx.runs.opened_index import open_index
    from dff_onnx.runs.opening import Opening, open_for_bank
    from dff_onnx.runs.quantize import quantize
    from dff_onnx.runs.run import run
    from dff_onnx.runs.settings import Settings
    from dff_onnx.runs.verify import verify
    from dff_onnx.runs.whiten import write_whitening
    from dff_onnx.runs.write_tree import run_tree
    from dff_onnx.zoo import find_model


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dff_onnx' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
