"""What describes a picture, as options; what is not given is the index's, or the default."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer


class Kind(StrEnum):
    """Of descriptors."""

    dff = "dff"
    rmac = "rmac"
    mac = "mac"
    spoc = "spoc"
    gem = "gem"
    crow = "crow"
    ucrow = "ucrow"
    codes = "codes"
    fs_egm = "fs-egm"


class Weighting(StrEnum):
    """Of concepts in a descriptor."""

    equal = "equal"
    energy = "energy"
    root = "root"
    centre = "centre"


Descriptor = Annotated[Kind | None, typer.Option(help="What describes a picture. [default: dff]")]
LongerSide = Annotated[
    int | None, typer.Option("--size", min=1, help="Pixels of the longer side; codes: of a square. [default: 320; 224]")
]
Concepts = Annotated[int | None, typer.Option("-k", help="dff: concepts of each picture. [default: 12]")]
Weights = Annotated[
    Weighting | None, typer.Option(help="dff: of concepts in the sum, by energy or place. [default: centre]")
]
Scales = Annotated[str | None, typer.Option(help="Sizes to look at, with commas, as parts of --size. [default: 1]")]
MultiScale = Annotated[bool, typer.Option("--multi-scale", help="The same as --scales 1,0.7071,0.5.")]


def said_of(
    descriptor: Kind | None,
    size: int | None,
    k: int | None,
    weights: Weighting | None,
    scales: str | None,
    multi_scale: bool,
) -> dict[str, Any]:
    """The options that were given, as `DescriptorSettings` names them."""
    from dff_onnx.errors import UsageError
    from dff_onnx.retrieval import SCALES

    if scales is not None and multi_scale:
        raise UsageError("give one of --scales and --multi-scale")
    if descriptor not in (None, Kind.dff) and not (k is None and weights is None):
        raise UsageError(f"-k and --weights are of concepts, and {descriptor} has none; leave them out")
    several = SCALES if multi_scale else figures(scales, "--scales") if scales is not None else None
    given = {
        "kind": descriptor and descriptor.value,
        "size": size,
        "k": k,
        "weights": weights and weights.value,
        "scales": several,
    }
    return {name: value for name, value in given.items() if value is not None}


def figures(text: str, option: str) -> tuple[float, ...]:
    """`1,0.5` as figures."""
    from dff_onnx.errors import UsageError

    try:
        return tuple(map(float, text.split(",")))
    except ValueError as error:
        raise UsageError(f"{option}: figures with commas between them are needed, found {text!r}") from error
