"""Options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from dff_onnx.backbone.cut import Sign
    from dff_onnx.datasets.class_names import ClassNames
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


RunFolder = Annotated[Path, typer.Option("--output", "-o", help="The run's folder, outside FOLDER.")]
Overlays = Annotated[str, typer.Option(help="Pictures to draw: all, none, or a number.")]
ReportOf = Annotated[str, typer.Option("--report", help="Pictures in report.html: all, none, or a number.")]
MinShare = Annotated[float, typer.Option(help="Share of a picture that a further region needs.")]
Memory = Annotated[
    str | None, typer.Option(help="Of activations; more stay on disk. 4GB, 512MiB. [default: a quarter of the machine]")
]
Sample = Annotated[
    int | None, typer.Option(help="Learn concepts from so many pictures, then find them in all. [default: all]")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of other settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print results.json on stdout.")]
Truth = Annotated[
    Path | None, typer.Option(help="A folder of masks with the pictures' names: IoU and CorLoc of each concept.")
]
ClassNamesFile = Annotated[
    Path | None, typer.Option("--class-names", help="A classifier's classes, one a line. [default: ImageNet's 1000]")
]

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


def memory_of(text: str | None) -> int | None:
    """`--memory` in bytes."""
    from dff_onnx.runs.machine import bytes_of

    return None if text is None else bytes_of(text)


def class_names_of(path: Path | None) -> ClassNames | None:
    """The names in a file."""
    from dff_onnx.datasets.class_names import read_class_names

    return None if path is None else read_class_names(path)


def overlays_named(text: str, option: str = "--overlays") -> int | Literal["all", "none"]:
    """`--overlays` or `--report` as settings have it."""
    from dff_onnx.errors import UsageError

    if text == "all":
        return "all"
    if text == "none":
        return "none"
    if not text.isdecimal():
        raise UsageError(f"{option}: all, none or a number is needed, found {text!r}")
    return int(text)


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
