"""Options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.backbone.cut import Sign
    from dff_onnx.images import Resize
    from dff_onnx.records import ChannelOrder, Preprocessing


class Input(StrEnum):
    """What a graph takes."""

    uint8 = "uint8"
    float = "float"


class Order(StrEnum):
    """Channel orders."""

    RGB = "RGB"
    BGR = "BGR"


Mean = Annotated[str | None, typer.Option(help="The network's mean, per channel. [default: 0.485,0.456,0.406]")]
Std = Annotated[
    str | None, typer.Option(help="The network's standard deviation, per channel. [default: 0.229,0.224,0.225]")
]
Scale = Annotated[float | None, typer.Option(help="Pixels 0..255 are multiplied by it first. [default: 1/255]")]
ChannelOrderOption = Annotated[
    Order | None, typer.Option("--channel-order", help="The order the network was trained on. [default: RGB]")
]


CardFile = Annotated[Path | None, typer.Option("--card", help="A network's card of your own (TOML), by its file.")]
Model = Annotated[str, typer.Argument(help="An ONNX file, a card (.toml), or a name: `dff-onnx models list`.")]
Rectify = Annotated[bool, typer.Option("--rectify", help="Negative activations become 0.")]
Split = Annotated[bool, typer.Option("--split", help="Every channel becomes two: its positive and its negative part.")]


Size = Annotated[int | None, typer.Option(help="Pixels of a square, aspect not kept. [default: 224]")]
ShortSide = Annotated[int | None, typer.Option(help="Pixels of the shorter side, aspect kept.")]
LongSide = Annotated[int | None, typer.Option(help="Pixels of the longer side, aspect kept.")]


def resize_of(size: int | None, short_side: int | None, long_side: int | None, usual: int = 224) -> Resize:
    """The three options as one record; a square of `usual` pixels where none is given."""
    from dff_onnx.errors import UsageError
    from dff_onnx.images import Resize

    given = {"square": size, "short": short_side, "long": long_side}
    said = [(mode, pixels) for mode, pixels in given.items() if pixels is not None]
    if len(said) > 1:
        raise UsageError("give one of --size, --short-side and --long-side")
    return Resize(*said[0]) if said else Resize("square", usual)  # type: ignore[arg-type]


def sign_of(rectify: bool, split: bool) -> Sign:
    """The two options as one word."""
    from dff_onnx.errors import UsageError

    if rectify and split:
        raise UsageError("give one of --rectify and --split")
    return "rectify" if rectify else "split" if split else "keep"


def preprocessing_of(
    mean: str | None,
    std: str | None,
    scale: float | None,
    order: Order | None,
    usual: Preprocessing | None = None,
) -> Preprocessing:
    """The options as one record.

    Args:
        mean, std, scale, order: as given.
        usual: has what was not given, and layout and type; by default ImageNet's.
    """
    from dff_onnx.records import Preprocessing

    usual = usual or Preprocessing()
    channels: ChannelOrder = order.value if order else usual.channels
    return replace(
        usual,
        channels=channels,
        mean=three(mean, "--mean") if mean is not None else usual.mean,
        std=three(std, "--std") if std is not None else usual.std,
        scale=usual.scale if scale is None else scale,
    )


def preprocessing_if_said(
    mean: str | None, std: str | None, scale: float | None, order: Order | None
) -> Preprocessing | None:
    """As `preprocessing_of`, None where not one of the options was given."""
    if all(option is None for option in (mean, std, scale, order)):
        return None
    return preprocessing_of(mean, std, scale, order)


def three(text: str, option: str) -> tuple[float, float, float]:
    """`0.5,0.5,0.5` as figures."""
    from dff_onnx.errors import UsageError

    try:
        first, second, third = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"{option}: three figures with commas between them are needed, found {text!r}") from error
    return first, second, third
