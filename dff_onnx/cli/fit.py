"""`dff-onnx fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.learning.head_file import FittedHead

Penalty = Annotated[str, typer.Option("--c", help="Of the machine: a number, or cv for 3-fold cross-validation.")]
NoUnit = Annotated[bool, typer.Option("--no-unit", help="Take features as they are, not at unit length.")]


def fit(
    features: Annotated[Path, typer.Argument(help="A .npz file of `dff-onnx features`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz file to write.")],
    positive: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder, or a pattern of paths: the one class. May be repeated. [default: a class a folder]"
        ),
    ] = None,
    c: Penalty = "1.0",
    no_unit: NoUnit = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a head of other settings.")] = False,
) -> None:
    """Train a linear classifier on features: one-vs-rest support vector machines.

    The classes are the first folders of the pictures' paths, or with --positive one class against the rest. Needs
    scikit-learn: pip install 'dff-onnx[learn]'.
    """
    from dff_onnx.learning.fit import FitSettings
    from dff_onnx.runs.fit import fit_file

    settings = FitSettings(tuple(positive or ()), penalty_of(c), not no_unit)
    fitted = fit_file(features, output, settings, overwrite=overwrite)
    typer.echo(f"{_summary(fitted)}\nwritten to {output}", err=True)


def penalty_of(text: str) -> float | None:
    """`--c` as a number; None for cross-validation."""
    from dff_onnx.errors import UsageError

    if text == "cv":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"--c: a number above 0, or cv, is needed, found {text[:40]!r}")
    return value


def _summary(fitted: FittedHead) -> str:
    from dff_onnx.datasets.dataset import counted

    facts = fitted.provenance
    told = f"{counted(len(fitted.names), 'class', 'classes')}, {counted(sum(fitted.pictures), 'picture')}"
    told += f" against {fitted.others} others" if fitted.others else ""
    told += f", {fitted.head.channels} channels, C = {facts['C']:g}"
    if "cv_accuracy" in facts:
        told += f", accuracy {facts['cv_accuracy']:.1%} on pictures left out (3 folds, mean over classes)"
    return told if facts["converged"] else f"{told}\nthe solver ran out of steps; a smaller --c, or unit length, helps"
