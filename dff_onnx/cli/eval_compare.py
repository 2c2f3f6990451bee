"""`dff-onnx eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[
        Path, typer.Argument(help="A figures.json of `eval coseg`, `corloc` or `retrieval`, or its folder.")
    ],
    second: Annotated[Path, typer.Argument(help="Another one, of the same data set.")],
    system: Annotated[str | None, typer.Option(help="The system to take in both. [default: all they share]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two evaluations picture by picture, of retrieval query by query.

    Prints what is compared and in which settings the two differ; then each mean over groups (of retrieval over queries)
    with its 95 % interval, the difference, and how often chance alone would set the two as far apart (a paired
    permutation test on the pictures or queries that both have).
    """
    from dff_onnx.evaluation import compare as compared
    from dff_onnx.evaluation import (
        compare_retrieval,
        comparison_text,
        kind_of,
        read_figures,
        read_retrieval,
        retrieval_comparison_text,
    )
    from dff_onnx.evaluation.stored import to_json

    if kind_of(first) == "retrieval":
        both = compare_retrieval(read_retrieval(first), read_retrieval(second), system)
        typer.echo(to_json(both.to_dict()) if as_json else retrieval_comparison_text(both), nl=not as_json)
        return
    found = compared(read_figures(first), read_figures(second), system)
    typer.echo(to_json(found.to_dict()) if as_json else comparison_text(found), nl=not as_json)
