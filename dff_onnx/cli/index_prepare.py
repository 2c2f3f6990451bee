"""`dff-onnx index-prepare`."""

from __future__ import annotations

from typing import Annotated

import typer


def index_prepare(
    where: Annotated[str, typer.Argument(metavar="INDEX", help="An index in a file.")],
    faiss: Annotated[bool, typer.Option("--faiss", help="Graphs for `search --approximate`, built by faiss.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was built as JSON on stdout.")] = False,
) -> None:
    """Build what makes searches in a large index quicker, beside it.

    A graph misses some neighbours; how many it finds is measured and told. It has to be built anew when the index
    changes: `index-info` tells whether it is fresh.
    """
    from dff_onnx.cli.index_text import prepared_fields, prepared_line
    from dff_onnx.cli.progress import shown
    from dff_onnx.errors import UsageError
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.prepare_index import prepare_index

    if not faiss:
        raise UsageError("index-prepare: say what to build: --faiss builds graphs for `search --approximate`")
    with shown() as progress:
        built = prepare_index(where, progress)
    if as_json:
        typer.echo(strict_json([prepared_fields(one) for one in built]), nl=False)
    for one in built:
        typer.echo(prepared_line(one), err=True)
