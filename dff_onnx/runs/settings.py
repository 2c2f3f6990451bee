"""The settings of a run: what must be equal for two runs to give the same files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dff_onnx.errors import UsageError
from dff_onnx.factorization import Solver
from dff_onnx.images import Resize

Overlays = int | Literal["all", "none"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How pictures become concepts.

    Attributes:
        k: number of concepts.
        resize: of the pictures, before the network.
        per_image: factorize each picture by itself; concepts are then not shared.
        solver, seed: of the factorization.
        percentile: of a concept's heat maps over the whole set, at the network's input size; the mask's threshold.
        min_share: of a picture's pixels that a region needs to be listed beside the largest one.
        overlays: how many pictures get an overlay: `all`, `none`, or the first so many.
    """

    k: int = 4
    resize: Resize = field(default_factory=Resize)
    per_image: bool = False
    solver: Solver = "coreset"
    seed: int = 0
    percentile: float = 75.0
    min_share: float = 0.01
    overlays: Overlays = "all"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k: at least one concept is needed, found {self.k}")
        if not 0 <= self.percentile <= 100:
            raise UsageError(f"percentile: a figure from 0 to 100 is needed, found {self.percentile}")
        if not 0 <= self.min_share <= 1:
            raise UsageError(f"min-share: a figure from 0 to 1 is needed, found {self.min_share}")
        if isinstance(self.overlays, int) and self.overlays < 0:
            raise UsageError(f"overlays: all, none or a number is needed, found {self.overlays}")

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores them."""
        return {
            "k": self.k,
            "resize": self.resize.mode,
            "size": self.resize.pixels,
            "per_image": self.per_image,
            "solver": self.solver,
            "seed": self.seed,
            "percentile": self.percentile,
            "min_share": self.min_share,
            "overlays": str(self.overlays),
        }

    def overlays_of(self, images: int) -> int:
        """How many of `images` pictures get an overlay."""
        if self.overlays == "all":
            return images
        return 0 if self.overlays == "none" else min(int(self.overlays), images)
