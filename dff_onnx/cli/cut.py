"""`dff-onnx cut`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.options import (
    ChannelOrderOption,
    Mean,
    Model,
    Rectify,
    Scale,
    Split,
    Std,
    preprocessing_if_said,
    sign_of,
)


def cut(
    model: Model,
    layer: Annotated[list[str], typer.Option("--layer", help="A name from `dff-onnx layers`; may be repeated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    rectify: Rectify = False,
    split: Split = False,
    size: Annotated[int, typer.Option(min=32, help="Height and width of the probe, in pixels.")] = 224,
    float16: Annotated[bool, typer.Option("--float16", help="Half precision inside, for GPUs.")] = False,
    constant: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for an input beside the image; may be repeated.")
    ] = None,
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
    from dff_onnx.backbone.model_file import load_model
    from dff_onnx.cli.progress import shown
    from dff_onnx.files import write_atomically
    from dff_onnx.runs.output_file import check_writable
    from dff_onnx.zoo.find import find_model

    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    with shown() as progress:
        found = [find_model(model, name, progress=progress) for name in layer]
    file = load_model(found[0].path, dict(map(_constant, constant or ())))
    check_writable(output, file.path, *file.beside)
    names = [one.layer for one in found if one.layer]
    made = truncated(file, names, preprocessing=preprocessing, sign=sign_of(rectify, split), float16=float16, size=size)
    data = made.SerializeToString(deterministic=True)
    write_atomically(output, data)
    outputs = ", ".join(tensor.name for tensor in made.graph.output)
    typer.echo(f"{output}: {len(made.graph.node)} nodes to {outputs}, {len(data) / 2**20:.1f} MiB", err=True)


def _constant(text: str) -> tuple[str, float]:
    """`NAME=VALUE`; `true` and `false` are 1 and 0."""
    from dff_onnx.errors import UsageError

    name, _, value = text.rpartition("=")
    try:
        return name, float({"true": "1", "false": "0"}.get(value.lower(), value))
    except ValueError as error:
        raise UsageError(f"--constant: NAME=VALUE is needed, with a number, true or false; found {text!r}") from error
