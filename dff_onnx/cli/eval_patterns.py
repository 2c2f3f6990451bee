"""`dff-onnx eval patterns`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.eval_options import AsJson


def patterns(
    run: Annotated[Path, typer.Argument(help="The folder of a run: class maps on pictures of the class.")],
    regions: Annotated[Path, typer.Option(help="A folder of PNG files with the pictures' names: a number a region.")],
    names: Annotated[Path, typer.Option(help="A text file that names the numbers: `3 dining table`.")],
    concept: Annotated[
        str | None, typer.Option(help="The map to take, by name or number, where there are more.")
    ] = None,
    overlap: Annotated[float, typer.Option(help="Share of a region that must be exceeded; 0: any pixel.")] = 0.5,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out pictures without such a PNG.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Patterns: which named regions a class map falls on most often.

    Ranks labels by the share of pictures in which their region is in the high activation: the map above its
    threshold. Beside it stand the pictures where the label is there at all, how much of the high activation it covers,
    and how much by chance.
    """
    from dff_onnx.cli.eval_options import ended
    from dff_onnx.cli.progress import shown
    from dff_onnx.datasets.label_maps import read_label_maps
    from dff_onnx.evaluation.patterns import evaluate_patterns, patterns_json, patterns_terminal
    from dff_onnx.runs.stored import read_run

    maps = read_label_maps(regions, names)
    with read_run(run) as stored, shown() as progress:
        found = evaluate_patterns(stored, maps, concept, overlap, skip_missing=skip_missing, progress=progress)
    typer.echo(patterns_json(found) if as_json else patterns_terminal(found), nl=not as_json)
    ended(found.notes, ())
