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
from dff_onnx.cli.network import CudaGraph, Device, DeviceChoice, Layer, open_network_for
from dff_onnx.cli.options import (
    CardFile,
    ChannelOrderOption,
    Mean,
    Rectify,
    Scale,
    Split,
    Std,
    preprocessing_if_said,
    sign_of,
)


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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="An ONNX file, a card, or a name. [default: the index's; compact for a new one]",
        ),
    ] = None,
    card: CardFile = None,
    layer: Layer = None,
    device: Device = DeviceChoice.auto,
    cuda_graph: CudaGraph = False,
    rectify: Rectify = False,
    split: Split = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
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
        backbone = open_network_for(
            plan.identity.fingerprint if plan.identity else None, shown_address(output), model, layer, progress,
            card=card, device=device, cuda_graph=cuda_graph, sign=sign_of(rectify, split),
            preprocessing=preprocessing_if_said(mean, std, scale, channel_order),
            gridless=plan.settings.kind == "codes",
        )  # fmt: skip
        done = index_folder(
            folder, output, backbone, plan, by_content=by_content, keep_missing=keep_missing, progress=progress
        )
    if as_json:
        typer.echo(strict_json(indexed_fields(done, shown_address(output))), nl=False)
    typer.echo(indexed_line(done, shown_address(output)), err=True)
    ended((), done.failures)
