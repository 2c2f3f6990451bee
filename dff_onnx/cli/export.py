"""`dff-onnx export`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from dff_onnx.records import Preprocessing


class Input(StrEnum):
    """What the exported graph takes."""

    uint8 = "uint8"
    float = "float"


class Order(StrEnum):
    """Channel orders."""

    RGB = "RGB"
    BGR = "BGR"


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
    input_: Annotated[
        Input,
        typer.Option("--input", help="uint8: RGB pixels (n, h, w, 3); float: (n, 3, h, w), normalised by the caller."),
    ] = Input.uint8,
    mean: Annotated[str, typer.Option(help="The network's mean, per channel.")] = "0.485,0.456,0.406",
    std: Annotated[str, typer.Option(help="The network's standard deviation, per channel.")] = "0.229,0.224,0.225",
    scale: Annotated[float, typer.Option(help="Pixels 0..255 are multiplied by it first.", show_default="1/255")] = 1
    / 255,
    channel_order: Annotated[Order, typer.Option(help="The order the network was trained on.")] = Order.RGB,
) -> None:
    """Make an ONNX backbone from a torchvision checkpoint, without PyTorch."""
    from dff_onnx.export import export_file

    preprocessing = _preprocessing(input_, mean, std, scale, channel_order.value)
    written = export_file(architecture, weights, output, layer or (), preprocessing)
    typer.echo(f"{written.path}: {architecture}, {written.size / 2**20:.1f} MiB", err=True)
    for made in written.metadata.layers:
        typer.echo(f"  layer {made.name}: {made.channels} channels, stride {made.stride}", err=True)
    if not layer:
        typer.echo("  (the deepest layer in these weights; --layer chooses another)", err=True)
    typer.echo(f"  input image: {preprocessing.dtype} {preprocessing.layout}, any batch and size", err=True)


def _preprocessing(input_: Input, mean: str, std: str, scale: float, channels: Literal["RGB", "BGR"]) -> Preprocessing:
    from dff_onnx.records import Preprocessing

    return Preprocessing(
        layout="NHWC" if input_ is Input.uint8 else "NCHW",
        dtype="uint8" if input_ is Input.uint8 else "float32",
        channels=channels,
        mean=_three(mean, "--mean"),
        std=_three(std, "--std"),
        scale=scale,
    )


def _three(text: str, option: str) -> tuple[float, float, float]:
    from dff_onnx.errors import UsageError

    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"{option}: three figures with commas between them are needed, found {text!r}") from error
    return first, second, third
