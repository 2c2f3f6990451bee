"""`dff-onnx index-info`."""

from __future__ import annotations

from typing import Annotated

import typer


def index_info(
    where: Annotated[str, typer.Argument(metavar="INDEX", help="A file, or postgresql://...")],
    check: Annotated[bool, typer.Option("--check", help="Read everything; exit code 5 if it is damaged.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what an index holds, and whether it is sound."""
    from dff_onnx.cli.index_text import info_fields, info_lines
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.index_info import index_info as look

    found = look(where, check)
    if as_json:
        typer.echo(strict_json(info_fields(found)), nl=False)
    else:
        typer.echo("\n".join(info_lines(found)))
    if found.problems:
        raise typer.Exit(5)
