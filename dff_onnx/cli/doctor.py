"""`dff-onnx doctor`."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Show what is installed and what really runs; exit 1 where something is wrong."""
    from dff_onnx.doctor import examine

    findings = examine()
    if as_json:
        typer.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            typer.echo(f"{finding.mark} {finding.what:<{width}}  {finding.found}")
            if finding.advice:
                typer.echo(f"  {'':<{width}}  -> {finding.advice}")
    raise typer.Exit(code=int(any(not finding.good for finding in findings)))
