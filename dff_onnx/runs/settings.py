"""The settings of a run: what must be equal for two runs to give the same files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from dff_onnx.errors import UsageError
from dff_onnx.factorization import Solver
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, Threshold

Overlays = int | Literal["all", "none"]
REPORTED: Overlays = 1000  # five pages; more are more than anyone looks through


@dataclass(frozen=True, slots=True)
class Settings:
    """How pictures become concepts.

    Attributes:
        k: number of concepts, or `auto`: see `dff_onnx.concepts.choice`.
        resize: of the pictures, before the network.
        per_image: factorize each picture by itself; concepts are then not shared.
        solver, seed: of the factorization.
        threshold: from which value on a pixel belongs to a concept's mask.
        crf: sharpens the heat maps along the edges of their picture before masks are made; None leaves them.
        foreground: look for the object the pictures share in place of `k` concepts; 448 pixels and more are best.
        min_share: of a picture's pixels that a region needs to be listed beside the largest one.
        sample: how many pictures, spread evenly, concepts are learned from, before they are found in all; None for all.
        overlays: how many pictures get an overlay: `all`, `none`, or the first so many.
        report: how many pictures `report.html` shows, likewise.
    """

    k: int | Literal["auto"] = 4
    resize: Resize = field(default_factory=Resize)
    per_image: bool = False
    solver: Solver = "coreset"
    seed: int = 0
    threshold: Threshold = field(default_factory=Threshold)
    crf: Crf | None = None
    foreground: bool = False
    min_share: float = 0.01
    sample: int | None = None
    overlays: Overlays = "all"
    report: Overlays = REPORTED

    def __post_init__(self) -> None:
        if self.k != "auto" and (not isinstance(self.k, int) or self.k < 1):
            raise UsageError(f"k: at least one concept, or auto, is needed, found {self.k}")
        if self.k == "auto" and self.per_image:
            raise UsageError("k: auto looks at what pictures share; with per-image a number is needed")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError(f"seed: a whole number from 0 on is needed, found {self.seed}")
        if self.foreground and self.per_image:
            raise UsageError("foreground: is what pictures share; it cannot be found in each picture by itself")
        if self.sample is not None and (self.sample < 1 or self.per_image or self.foreground):
            raise UsageError(
                f"sample: at least one picture is needed, found {self.sample}"
                if self.sample < 1
                else "sample: concepts of some pictures are found in all; it does not go with per-image and foreground"
            )
        if not 0 <= self.min_share <= 1:
            raise UsageError(f"min-share: a figure from 0 to 1 is needed, found {self.min_share}")
        overlays_of(self.overlays, 0)
        overlays_of(self.report, 0, "report")

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores them: those that matter."""
        concepts = {
            "k": self.k,
            "per_image": self.per_image,
            "solver": self.solver,
            "seed": self.seed,
            **self.threshold.to_dict(),
        }
        return {
            **({"foreground": True} if self.foreground else concepts),
            "resize": self.resize.mode,
            "size": self.resize.pixels,
            **_crf_fields(self.crf),
            "min_share": self.min_share,
            **({} if self.sample is None else {"sample": self.sample}),
            "overlays": str(self.overlays),
            "report": str(self.report),
        }

    def overlays_of(self, images: int) -> int:
        """How many of `images` pictures get an overlay."""
        return overlays_of(self.overlays, images)

    def reported_of(self, images: int) -> int:
        """How many of `images` pictures the report shows; with none there is no report."""
        return overlays_of(self.report, images)


def overlays_of(overlays: Overlays, images: int, setting: str = "overlays") -> int:
    """How many of `images` pictures get an overlay, or a place in the report.

    Raises:
        UsageError: for anything but `all`, `none` and a number.

    >>> overlays_of("all", 7), overlays_of("none", 7), overlays_of(3, 7)
    (7, 0, 3)
    """
    if overlays == "all":
        return images
    if overlays == "none":
        return 0
    if not isinstance(overlays, int) or overlays < 0:
        raise UsageError(f"{setting}: all, none or a number is needed, found {overlays}")
    return min(overlays, images)


def _crf_fields(crf: Crf | None) -> dict[str, Any]:
    """Flat, as a bank's provenance wants it."""
    if crf is None:
        return {"crf": "none"}
    fields = crf.to_dict()
    return {"crf": fields.pop("mode"), **{f"crf_{name}": value for name, value in fields.items()}}
