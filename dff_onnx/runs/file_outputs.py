"""Whether a compiled file takes and gives what files of its kind do."""

from __future__ import annotations

from pathlib import Path

from dff_onnx.backbone.runtime import Session
from dff_onnx.deploy.concepts import BOXES
from dff_onnx.deploy.foreground import FOREGROUND
from dff_onnx.deploy.metadata import Compiled
from dff_onnx.errors import ModelError

Tensors = dict[str, tuple[str, int]]  # type and number of axes, by name

FLOAT, INT32, INT64, UINT8 = (f"tensor({kind})" for kind in ("float", "int32", "int64", "uint8"))
FIT: Tensors = {
    "concepts": (FLOAT, 2), "coefficients": (FLOAT, 4), "heatmaps": (FLOAT, 4), "scores": (FLOAT, 2),
    "loss": (FLOAT, 0),
}  # fmt: skip


def check_outputs(session: Session, about: Compiled, path: Path) -> None:
    """Raises `ModelError` for inputs and outputs that no file of this kind has.

    Args:
        session: of the file.
        about: what it says of itself.
        path: of the file, for the sentence.
    """
    found, takes = (
        {one.name: (one.type, len(one.shape or ())) for one in ones}
        for ones in (session.get_outputs(), session.get_inputs())
    )
    if takes != {"image": (UINT8, 4)}:
        raise ModelError(f"{path}: takes {_told(takes)}, and a compiled file one image in uint8; compile it again")
    always, perhaps = _outputs(about)
    if not always.items() <= found.items() <= (always | perhaps).items():
        raise ModelError(f"{path}: gives {_told(found)}, and a file of its kind {_told(always)}; compile it again")


def _outputs(about: Compiled) -> tuple[Tensors, Tensors]:
    """Outputs that are always there, and those that may be left out."""
    if about.kind == "fit":
        return FIT, {}
    always: Tensors = {}
    perhaps: Tensors = {}
    if about.concepts:
        always |= {"scores": (FLOAT, 2), BOXES[about.boxes]: (INT32, 3), "loss": (FLOAT, 1), "kkt": (FLOAT, 1)}
        perhaps |= {"heatmaps": (FLOAT, 4)}
    if about.foreground:
        always |= {f"{FOREGROUND}_{BOXES[about.boxes]}": (INT32, 3)}
        perhaps |= {FOREGROUND: (FLOAT, 3)}
    if about.classes:
        always |= {"class_scores": (FLOAT, 2), "classes": (INT64, 2)}
        perhaps |= {"class_heatmaps": (FLOAT, 4)}
    return always, perhaps


def _told(tensors: Tensors) -> str:
    text = ", ".join(f"{name} ({kind[7:-1]}, {axes} axes)" for name, (kind, axes) in tensors.items())
    return ascii(text)[1:-1][:300] or "nothing"
