"""The small frozen records that several packages pass to each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from dff_onnx.errors import UsageError

Layout = Literal["NHWC", "NCHW"]
Dtype = Literal["uint8", "float32"]
ChannelOrder = Literal["RGB", "BGR"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Grid:
    """Height and width of one image's activations, in cells (or of an image, in pixels)."""

    height: int
    width: int

    @property
    def cells(self) -> int:
        """How many rows of `A` the grid takes."""
        return self.height * self.width


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels, half-open: `x0 <= x < x1`, `y0 <= y < y1`."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How RGB pixels 0..255 become what a network's graph expects at its input.

    A network trained on `(x * scale - mean) / std` (channel by channel, in `channels` order) either has this
    arithmetic in its graph, then `dtype` is `uint8` and the pixels go in as they are, or expects its result.

    Attributes:
        layout: order of the axes of the input.
        dtype: `uint8` when the graph normalises, `float32` when the caller must.
        channels: order of the colour channels the network was trained on; with `uint8` input the pixels are always
            RGB, because the graph reorders them.
        mean, std: one figure a channel, in `channels` order, after scaling.
        scale: multiplies the pixel values first.
    """

    layout: Layout = "NHWC"
    dtype: Dtype = "uint8"
    channels: ChannelOrder = "RGB"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    scale: float = 1 / 255

    def __post_init__(self) -> None:
        for value, choices in ((self.layout, Layout), (self.dtype, Dtype), (self.channels, ChannelOrder)):
            if value not in get_args(choices):
                raise UsageError(f"preprocessing: {value!r} is not one of {', '.join(get_args(choices))}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise UsageError(
                f"preprocessing: mean and std need three figures, found {len(self.mean)} and {len(self.std)}"
            )
        if not all(s > 0 for s in (*self.std, self.scale)):
            raise UsageError(f"preprocessing: std {self.std} and scale {self.scale} must be positive")
        if not all(map(math.isfinite, (*self.mean, *self.std, self.scale))):
            raise UsageError(f"preprocessing: mean {self.mean}, std {self.std} and scale {self.scale} must be finite")

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON and TOML store it."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`; raises `UsageError` for values that cannot be."""
        try:
            known = dict(fields) | {"mean": tuple(map(float, fields["mean"])), "std": tuple(map(float, fields["std"]))}
            return cls(**(known | {"scale": float(fields["scale"])}))
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(f"preprocessing: {error}") from error


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What activations come from; two fingerprints never mix.

    Attributes:
        model_sha256: of the ONNX file.
        layer: the tensor's name.
        preprocessing: what was done to the pixels.
    """

    model_sha256: str
    layer: str
    preprocessing: Preprocessing

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON and TOML store it."""
        return {
            "model_sha256": self.model_sha256,
            "layer": self.layer,
            "preprocessing": self.preprocessing.to_dict(),
        }

    @property
    def described(self) -> str:
        """In a sentence: the first twelve digits of the sha256, the layer, the preprocessing."""
        steps = self.preprocessing
        return (
            f"network {self.model_sha256[:12]}, layer {self.layer!r}, {steps.channels}, mean {steps.mean}, "
            f"std {steps.std}, scale {steps.scale:g}"
        )


@dataclass(frozen=True, slots=True)
class Region:
    """One connected component of a mask.

    Attributes:
        box: its tight bounding box.
        area: its pixels (not the box's).
    """

    box: Box
    area: int
