"""What a compiled file is to hold, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dff_onnx.errors import UsageError

MOST_ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is compiled.

    Attributes:
        unroll: rounds of the least squares written out one behind the other, for engines without control flow and for
            captured graphs; None for a loop that ends by itself. Boxes are then those of whole masks.
        heatmaps: whether heat maps are outputs.
        tight_boxes: whether boxes are those of whole masks, and not of the largest region.
        float16: whether weights of the network are stored in half precision; they become float32 when it is loaded.
        cam: whether class maps are outputs, too.
        foreground: whether the bank's foreground is an output, too.
        opset: of the file; by default the network's own, 18 at least.
    """

    unroll: int | None = None
    heatmaps: bool = True
    tight_boxes: bool = False
    float16: bool = False
    cam: bool = False
    foreground: bool = False
    opset: int | None = None

    def __post_init__(self) -> None:
        if self.unroll is not None and not 1 <= self.unroll <= MOST_ROUNDS:
            raise UsageError(f"unroll: 1 to {MOST_ROUNDS} rounds are possible, found {self.unroll}")

    @property
    def boxes(self) -> Literal["regions", "masks"]:
        """What boxes are around. The largest region of a mask needs a loop."""
        return "masks" if self.tight_boxes or self.unroll is not None else "regions"
