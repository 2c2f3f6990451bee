"""The size at which a picture enters the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from dff_onnx.errors import UsageError

Mode = Literal["square", "short", "long"]

# The deepest common stride: a side below it would leave a network of stride 32 without a cell.
SMALLEST = 32
LARGEST = 8192


@dataclass(frozen=True, slots=True)
class Resize:
    """How large a picture becomes.

    Attributes:
        mode: `square` takes no heed of the aspect (the paper's way); `short` and `long` keep it and set that side.
        pixels: of the side, 32 to 8192. The other side is rounded, and kept within the same bounds.
    """

    mode: Mode = "square"
    pixels: int = 224

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UsageError(f"resize: {self.mode!r} is not one of {', '.join(get_args(Mode))}")
        if not SMALLEST <= self.pixels <= LARGEST:
            raise UsageError(f"size: {SMALLEST} to {LARGEST} pixels are possible, found {self.pixels}")

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON stores it."""
        return {"mode": self.mode, "pixels": self.pixels}

    @classmethod
    def from_dict(cls, fields: Any) -> Resize:
        """The inverse of `to_dict`; raises `UsageError` for values that cannot be.

        >>> Resize.from_dict({"mode": "short", "pixels": 448})
        Resize(mode='short', pixels=448)
        """
        mode, pixels = (fields.get("mode"), fields.get("pixels")) if isinstance(fields, dict) else (None, None)
        if mode not in ("square", "short", "long") or type(pixels) is not int:
            raise UsageError(f"resize: a mode and pixels are needed, found {ascii(fields)[:60]}")
        return cls(mode, pixels)

    def target(self, width: int, height: int) -> tuple[int, int]:
        """Width and height for a picture of this width and height.

        >>> Resize("short", 100).target(300, 200)
        (150, 100)
        """
        if self.mode == "square":
            return self.pixels, self.pixels
        side = min(width, height) if self.mode == "short" else max(width, height)
        across, down = (min(max(round(length * self.pixels / side), SMALLEST), LARGEST) for length in (width, height))
        return across, down
