"""`dff-onnx quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.network import Layer
from dff_onnx.cli.options import (
    ChannelOrderOption,
    LongSide,
    Mean,
    Model,
    Scale,
    ShortSide,
    Size,
    Std,
    preprocessing_if_said,
    resize_of,
)


def quantize(
    model: Model,
    calibration: Annotated[Path, typer.Option(help="A folder of pictures like those that the network will see.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    layer: Layer = None,
    images: Annotated[int, typer.Option(min=1, help="Pictures to calibrate on, at most.")] = 20,
    on: Annotated[
        Path | None, typer.Option(help="A folder of pictures to measure on. [default: the others of --calibration]")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Concepts to compare.")] = 4,
    size: Size = None,
    short_side: ShortSide = None,
    long_side: LongSide = None,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on stdout.")] = False,
) -> None:
    """Write a network up to a layer in eight bits, and say what that does to heat maps.

    On pictures that were not calibrated on, concepts of both networks are matched, and their masks compared. The file
    says its layer and preprocessing itself. Exit code 3 says that some pictures could not be used.
    """
    from dff_onnx.cli.progress import shown
    from dff_onnx.cli.quantize_text import quantized_lines
    from dff_onnx.report.results import strict_json
    from dff_onnx.runs.quantize import quantize as quantized
    from dff_onnx.zoo.find import find_model

    preprocessing = preprocessing_if_said(mean, std, scale, channel_order)
    with shown() as progress:
        found = find_model(model, layer, progress=progress)
        made = quantized(
            found.path, calibration, output, layer=found.layer, preprocessing=preprocessing,
            resize=resize_of(size, short_side, long_side), images=images, on=on, k=k, progress=progress,
        )  # fmt: skip
    if as_json:
        typer.echo(strict_json(made.to_dict()), nl=False)
    typer.echo("\n".join(quantized_lines(made)), err=True)
    if made.failures:
        raise typer.Exit(3)
