"""`dff-onnx export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dff_onnx.cli.options import ChannelOrderOption, Input, Mean, Scale, Std, preprocessing_of


def export(
    architecture: Annotated[
        str, typer.Argument(help="torchvision's name: vgg19, vgg16_bn, resnet50, squeezenet1_1, ...")
    ],
    weights: Annotated[Path, typer.Option("--weights", help="A .pth (torch.save) or .safetensors file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="relu5_4, layer3.5, layer4, fire9, ...; may be repeated. [default: the deepest]"),
    ] = None,
    classifier: Annotated[
        bool,
        typer.Option(
            "--classifier",
            help="Keep the classifier: a further output `logits` (n, classes). VGG and AlexNet then take 224x224 only.",
        ),
    ] = False,
    input_: Annotated[
        Input,
        typer.Option("--input", help="uint8: RGB pixels (n, h, w, 3); float: (n, 3, h, w), normalised by the caller."),
    ] = Input.uint8,
    mean: Mean = None,
    std: Std = None,
    scale: Scale = None,
    channel_order: ChannelOrderOption = None,
) -> None:
    """Make an ONNX backbone from a torchvision checkpoint, without PyTorch."""
    from dff_onnx.export import export_file
    from dff_onnx.export.architectures import usual_preprocessing

    usual = usual_preprocessing(architecture)
    if input_ is Input.float:
        usual = replace(usual, layout="NCHW", dtype="float32")
    preprocessing = preprocessing_of(mean, std, scale, channel_order, usual)
    written = export_file(architecture, weights, output, layer or (), preprocessing, classifier=classifier)
    typer.echo(f"{written.path}: {architecture}, {written.size / 2**20:.1f} MiB", err=True)
    for made in written.metadata.layers:
        typer.echo(f"  layer {made.name}: {made.channels} channels, stride {made.stride}", err=True)
    if not layer:
        typer.echo("  (the deepest layer in these weights; --layer chooses another)", err=True)
    if written.classes:
        typer.echo(f"  logits: {written.classes} classes", err=True)
    size = f"any batch, {written.side}x{written.side} only" if written.side else "any batch and size"
    typer.echo(f"  input image: {preprocessing.dtype} {preprocessing.layout}, {size}", err=True)
