"""`dff-onnx objects`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice


def objects(
    index: Annotated[str, typer.Argument(help="An index of fs-egm descriptors: a file, or postgresql://...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A folder for objects.html, objects.json, pictures.")],
    top: Annotated[int, typer.Option(help="How many objects at most.")] = 20,
    new_index: Annotated[
        str | None, typer.Option("--index", help="Index the pictures anew, by what comes back: os-egm descriptors.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="The index's pictures. [default: as the index says]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace objects of other settings.")] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="The index's network. [default: looked for by its sha256]")
    ] = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print objects.json on stdout.")] = False,
) -> None:
    """Find objects that come back in a collection, without a query and without labels.

    The most central regions of the index, each with its nearest ones in other pictures. The index is one that
    `dff-onnx index --descriptor fs-egm` made. Exit code 3 says that some pictures could not be read.
    """
    from dff_onnx.cli.index_text import indexed_line
    from dff_onnx.cli.network import accelerator_of
    from dff_onnx.cli.objects_text import objects_text
    from dff_onnx.cli.progress import shown
    from dff_onnx.report.objects_found import objects_json
    from dff_onnx.runs.objects import objects as found_in
    from dff_onnx.runs.opened_index import open_index
    from dff_onnx.runs.opening import Opening
    from dff_onnx.store import shown_address
    from dff_onnx.zoo.find import find_model

    with shown() as progress:
        network = find_model(model, progress=progress).path if model else None
        opening = Opening(device.value, None, accelerator_of(cuda_graph))
        with open_index(index, network, opening, progress) as opened:
            done = found_in(
                opened.store, opened.describer, output, top,
                folder=folder, index=new_index, overwrite=overwrite, progress=progress,
            )  # fmt: skip
    typer.echo(objects_json(done.found) if as_json else objects_text(done.found), nl=not as_json)
    if done.indexed is not None and new_index is not None:
        typer.echo(indexed_line(done.indexed, shown_address(new_index)), err=True)
    if done.found.failures or (done.indexed is not None and done.indexed.failures):
        raise typer.Exit(3)
