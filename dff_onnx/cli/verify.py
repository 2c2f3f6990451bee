"""`dff-onnx verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `dff-onnx compile` wrote.")],
    pictures: Annotated[
        Path | None, typer.Argument(help="A folder of pictures, or one. [default: random ones of three sizes]")
    ] = None,
    bank: Annotated[
        Path | None, typer.Option(help="The bank it was made of. [default: what the file holds of it]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The network inside. [default: looked for by its sha256]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Compare a compiled file with the Python pipeline, on the same pictures.

    Prints the largest difference of every output. Exit code 5 says that one of them is larger than it may be, 3 that
    some pictures could not be used.
    """
    from dff_onnx.cli.compile_text import verified_lines
    from dff_onnx.cli.progress import shown
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.verify import verify as compare
    from dff_onnx.zoo.find import find_model

    with shown() as progress:
        network = find_model(model, progress=progress).path if model else None
        found = compare(path, pictures, bank=bank, model=network, progress=progress)
    if as_json:
        typer.echo(strict_json(found.to_dict()), nl=False)
    typer.echo("\n".join(verified_lines(found)), err=as_json)
    if not found.good:
        raise typer.Exit(5)
    if found.failures:
        raise typer.Exit(3)
