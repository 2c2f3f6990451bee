"""How a command that wrote a run ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from dff_onnx.report.found import Found


def ending(found: Found, output: Path, text: str, as_json: bool) -> None:
    """Prints what was found: JSON on stdout where that is wanted, words on stderr.

    Args:
        found: what was found.
        output: the run's folder.
        text: the summary.
        as_json: whether results.json is wanted.

    Raises:
        typer.Exit: with 3 where some pictures could not be used.
    """
    from dff_onnx.report.results import results_pieces

    if as_json:
        for piece in results_pieces(found):
            typer.echo(piece, nl=False)
    typer.echo(text, err=True)
    tell_of_names(output)
    if found.failures:
        raise typer.Exit(3)


def tell_of_names(home: Path) -> None:
    """Says on stderr that the names of an earlier run are not in the files of the new one."""
    labels = home / "labels.json"
    if labels.is_file():
        again = f"dff-onnx label {home} --from {labels}"
        typer.echo(f"the names of {labels.name} are not in these files; give them back with {again}", err=True)
