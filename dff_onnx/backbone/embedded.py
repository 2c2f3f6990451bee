"""The small backbone that travels with the program, so that it works without a download."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.errors import ModelError

NAME = "compact"


def embedded_model() -> Path:
    """The file of the embedded backbone; its card lies beside it (`compact.md`).

    In a wheel it is inside the package, in a clone (and an editable install) in `models/` at the top.

    Raises:
        ModelError: when the installation lacks it.

    >>> embedded_model().name
    'compact.onnx'
    """
    package = Path(__file__).parent.parent
    for folder in (package / "models", package.parent / "models"):
        if (path := folder / f"{NAME}.onnx").is_file():
            return path
    raise ModelError(f"{package}: this installation lacks the embedded backbone {NAME}.onnx; install dff-onnx again")


def model_named(model: str) -> Path:
    """The file that a command's MODEL means: a path, or `compact` for the embedded backbone.

    >>> model_named("compact").name, str(model_named("vgg19.onnx"))
    ('compact.onnx', 'vgg19.onnx')
    """
    return embedded_model() if model == NAME else Path(model)
