"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
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


def preprocessing_of(
    mean: str | None,
    std: str | None,
    scale: float | None,
    order: Order | None,
    pixels: bool = False,
) -> Preprocessing:
    """The options as one record; those left out are ImageNet's.

    Args:
        mean, std, scale, order: as given.
        pixels: whether the graph takes uint8 pixels `(n, h, w, 3)`, and normalises them itself.
    """
    from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

    channels: ChannelOrder = order.value if order else "RGB"
    return Preprocessing(
        layout="NHWC" if pixels else "NCHW",
        dtype="uint8" if pixels else "float32",
        channels=channels,
        mean=three(mean, "--mean") if mean is not None else IMAGENET_MEAN,
        std=three(std, "--std") if std is not None else IMAGENET_STD,
        scale=1 / 255 if scale is None else scale,
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
