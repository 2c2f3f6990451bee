"""What travels with the program: the cards of networks, and one small backbone, so that it works without a download."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.errors import ModelError

NAME = "compact"


def models_folder() -> Path:
    """The folder of cards (`*.toml`) and of the embedded backbone.

    In a wheel it is inside the package, in a clone (and an editable install) it is `models/` at the top.

    Raises:
        ModelError: when the installation lacks it.

    >>> sorted(path.name for path in models_folder().glob("compact.*"))
    ['compact.md', 'compact.onnx', 'compact.toml']
    """
    package = Path(__file__).parent.parent
    for folder in (package / "models", package.parent / "models"):
        if (folder / f"{NAME}.onnx").is_file():
            return folder
    raise ModelError(f"{package}: this installation lacks the embedded backbone {NAME}.onnx; install dff-onnx again")


def embedded_model() -> Path:
    """The file of the embedded backbone; what it is, and how it was made, is told beside it (`compact.md`).

    Raises:
        ModelError: when the installation lacks it.

    >>> embedded_model().name
    'compact.onnx'
    """
    return models_folder() / f"{NAME}.onnx"
