"""`dff-onnx eval ilsvrc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.eval_options import AsJson, Output, Overwrite, ended, told


def ilsvrc(
    dataset: Annotated[Path, typer.Argument(help="ILSVRC's folder with annotations, or LOC_val_solution.csv.")],
    run: Annotated[Path | None, typer.Option(help="The output folder of `dff-onnx cam`.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="A predictions.csv, or the challenge's text of guesses.")
    ] = None,
    truth: Annotated[
        list[Path] | None, typer.Option(help="A file of the development kit outside DATASET; repeat it for several.")
    ] = None,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """ILSVRC: classification and localization error, with one guess and with five.

    A guess is right in localization where its label is and its box has an IoU of 0.5 or more with a true box of that
    label. Published rows stand below ours, marked as such. Exit code 3 says that some pictures have no guess.
    """
    from dff_onnx.evaluation import (
        claimed,
        evaluate_ilsvrc,
        ilsvrc_json,
        ilsvrc_markdown,
        ilsvrc_plot,
        ilsvrc_terminal,
        open_ilsvrc,
    )

    opened = open_ilsvrc(dataset, run, predictions, truth or ())
    with claimed(output, opened.identity(), overwrite):
        figures = evaluate_ilsvrc(opened)
        drawn = ilsvrc_markdown(figures), ilsvrc_plot(figures)
        told(output, as_json, ilsvrc_json(figures), ilsvrc_terminal(figures), *drawn)
    ended(figures.notes, ())
    if figures.missing:
        raise typer.Exit(3)
