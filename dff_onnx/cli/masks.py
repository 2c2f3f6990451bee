"""`dff-onnx masks`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.runs.export_masks import Format


class FormatChoice(StrEnum):
    """Forms that masks can have."""

    coco = "coco"
    voc = "voc"
    png = "png"


def masks(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder of its own for the masks.")],
    formats: Annotated[
        list[FormatChoice] | None, typer.Option("--format", help="Repeat it for several. [default: coco and voc]")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="A name to export; repeat it for several.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export of other settings.")] = False,
) -> None:
    """Export the masks of a run under the names that `dff-onnx label` gave.

    coco: instances.json, run-length masks with boxes and scores. voc: SegmentationClass/, Annotations/, labels.txt.
    png: masks/, a picture for each name. Concepts of one name are united; those without one are left out, unless
    none has a name.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.dataset import counted
    from dff_onnx.runs.export_masks import USUAL, export_masks
    from dff_onnx.runs.stored import read_run

    chosen: Sequence[Format] = [choice.value for choice in formats] if formats else USUAL
    with read_run(run) as stored, shown() as progress:
        done = export_masks(stored, output, chosen, tuple(only or ()), overwrite=overwrite, progress=progress)
        pictures = len(stored.images)
    names = ", ".join(part.name for part in done.parts)
    typer.echo(f"masks of {counted(pictures, 'picture')} under {counted(len(done.parts), 'name')}: {names}", err=True)
    typer.echo(f"{counted(done.files, 'file')} written to {output}", err=True)
