"""The folder of an evaluation: `figures.json`, `table.md`, `plot.svg`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation.localize import used_systems
from dff_onnx.evaluation.names import shown
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.scores import Kind
from dff_onnx.evaluation.stored import identity, read_fields, strict
from dff_onnx.evaluation.systems import System
from dff_onnx.files import write_atomically

FIGURES, TABLE, PLOT = "figures.json", "table.md", "plot.svg"


def check_folder(out: Path, identity: Mapping[str, Any], overwrite: bool) -> None:
    """Refuses a folder that holds something else than an evaluation of this identity.

    Args:
        out: may be missing.
        identity: the fields of `figures.json` that two evaluations must share.
        overwrite: whether another evaluation may be replaced.

    Raises:
        UsageError: saying what to do.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return
    try:
        fields = read_fields(out / FIGURES)
    except RefusedError as error:
        raise UsageError(
            f"{out}: is not empty and holds no evaluation; choose another folder with -o, or empty it"
        ) from error
    wanted = strict(identity)
    other = sorted(key for key in wanted if fields.get(key) != wanted[key])
    if other and not overwrite:
        raise UsageError(
            f"{out}: holds an evaluation of another {', '.join(other)}; choose another folder with -o, or replace it "
            "with --overwrite"
        )


def check_evaluation(
    out: Path, kind: Kind, opened: Opened, activations: Activations, systems: Sequence[System], overwrite: bool
) -> None:
    """`check_folder` before the work of `evaluate`."""
    used = [asdict(one) for one in used_systems(systems)]
    fields = identity(kind, shown(opened.dataset.name), activations.fingerprint.to_dict(), used)
    check_folder(out, fields, overwrite)


def write_folder(out: Path, figures: str, table: str, plot: str) -> None:
    """Writes the three files, the figures last: where they are, all is there.

    Raises:
        OutputError: when one cannot be written.
    """
    for name, text in ((TABLE, table), (PLOT, plot), (FIGURES, figures)):
        write_atomically(out / name, text.encode("utf-8", "backslashreplace"))
