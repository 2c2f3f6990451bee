"""`dff-onnx index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.descriptor_options import (
    Concepts,
    Descriptor,
    LongerSide,
    MultiScale,
    Scales,
    Weights,
    said_of,
)
from dff_onnx.cli.network_options import NetworkOptions, with_network


@with_network(of_index=True)
def index(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, looked through with its subfolders.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The index: a file, or postgresql://...")],
    whitening: Annotated[Path | None, typer.Option(help="A file that `dff-onnx whiten` wrote.")] = None,
    float32: Annotated[bool, typer.Option("--float32", help="Store vectors in float32, not float16.")] = False,
    by_content: Annotated[bool, typer.Option("--hash", help="Tell changed files by content, not by time.")] = False,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Leave pictures in the index that are gone from FOLDER.")
    ] = False,
    descriptor: Descriptor = None,
    size: LongerSide = None,
    k: Concepts = None,
    weights: Weights = None,
    scales: Scales = None,
    multi_scale: MultiScale = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON on stdout.")] = False,
    *,
    network: NetworkOptions,
) -> None:
    """Describe the pictures of a folder, to be searched by content.

    The same command brings an index up to date, or goes on after it was ended: new and changed pictures are described,
    those that are gone are removed. Settings of an index that is there need not be repeated, and cannot be changed.
    A picture's group is the first folder on its path. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.eval_options import ended
    from dff_onnx.cli.index_text import indexed_fields, indexed_line
    from dff_onnx.cli.progress import shown
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.index import index_folder, plan_index
    from dff_onnx.store import shown_address

    wanted = said_of(descriptor, size, k, weights, scales, multi_scale)
    plan = plan_index(output, wanted, whitening, "float32" if float32 else None)
    with shown() as progress:
        wanted_network = plan.identity.fingerprint if plan.identity else None
        gridless = plan.settings.kind == "codes"
        backbone = network.open_for(wanted_network, shown_address(output), progress, gridless)
        done = index_folder(
            folder, output, backbone, plan, by_content=by_content, keep_missing=keep_missing, progress=progress
        )
    if as_json:
        typer.echo(strict_json(indexed_fields(done, shown_address(output))), nl=False)
    typer.echo(indexed_line(done, shown_address(output)), err=True)
    ended((), done.failures)
