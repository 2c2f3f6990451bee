"""`dff-onnx cut`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.options import ChannelOrderOption, Mean, Scale, Std, preprocessing_if_said


def cut(
    model: Annotated[str, typer.Argument(help="An ONNX file, or compact for the embedded backbone.")],
    layer: Annotated[list[str], typer.Option("--layer", help="A name from `dff-onnx layers`; may be repeated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    rectify: Annotated[bool, typer.Option(help="End every layer in a ReLU.")] = False,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
) -> None:
    """Truncate an ONNX file at a layer; its values there do not change.

    The preprocessing options describe what the network was trained on: (x * scale - mean) / std for x in 0..255. They
    are written into the file, so that later commands know.
    """
    from dff_onnx.backbone.cut import cut as truncated
    from dff_onnx.backbone.embedded import model_named
    from dff_onnx.backbone.model_file import load_model
    from dff_onnx.files import write_atomically

    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    made = truncated(load_model(model_named(model)), layer, preprocessing=preprocessing, rectify=rectify)
    data = made.SerializeToString(deterministic=True)
    write_atomically(output, data)
    outputs = ", ".join(tensor.name for tensor in made.graph.output)
    typer.echo(f"{output}: {len(made.graph.node)} nodes to {outputs}, {len(data) / 2**20:.1f} MiB", err=True)
