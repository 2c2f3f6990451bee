"""Options about masks that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dff_onnx.maps import Crf, Threshold


class RuleChoice(StrEnum):
    """Rules for the thresholds of masks."""

    percentile = "percentile"
    fraction = "fraction"
    otsu = "otsu"


class DomainChoice(StrEnum):
    """Sizes at which thresholds are taken."""

    native = "native"
    input = "input"
    original = "original"


class CrfChoice(StrEnum):
    """What the CRF decides between."""

    binary = "binary"
    joint = "joint"


Rule = Annotated[RuleChoice, typer.Option("--threshold", help="Of the masks, over the whole set.")]
Percentile = Annotated[float, typer.Option(help="Of all values of a concept.")]
Fraction = Annotated[float, typer.Option(help="Of a concept's peak, for --threshold fraction.")]
Domain = Annotated[DomainChoice, typer.Option(help="Size at which percentile and otsu are taken.")]
CrfFlag = Annotated[bool, typer.Option("--crf", help="Sharpen the heat maps along the edges of the pictures.")]
CrfMode = Annotated[
    CrfChoice | None, typer.Option(help="With --crf: each concept by itself, or in competition. [default: binary]")
]


def threshold_of(rule: RuleChoice, percentile: float, fraction: float, domain: DomainChoice) -> Threshold:
    """The options as one record."""
    from dff_onnx.errors import UsageError
    from dff_onnx.maps import Threshold

    usual = Threshold()
    for option, given, rules in (
        ("--percentile", percentile != usual.percentile, ("percentile",)),
        ("--fraction", fraction != usual.fraction, ("fraction",)),
        ("--domain", domain.value != usual.domain, ("percentile", "otsu")),
    ):
        if given and rule.value not in rules:
            raise UsageError(f"{option} has no effect with --threshold {rule.value}; leave one out")
    return Threshold(rule.value, percentile, fraction, domain.value)


def crf_of(wanted: bool, mode: CrfChoice | None) -> Crf | None:
    """The options as one record; None for no CRF."""
    from dff_onnx.errors import UsageError
    from dff_onnx.maps import Crf

    if mode and not wanted:
        raise UsageError("--crf-mode needs --crf")
    return Crf(mode.value if mode else "binary") if wanted else None
