"""The settings of class maps: what must be equal for two runs to give the same files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from dff_onnx.cam.boxes import FRACTION
from dff_onnx.errors import UsageError
from dff_onnx.images import Resize
from dff_onnx.runs.settings import REPORTED, Overlays, overlays_of

Method = Literal["cam", "grad-cam", "eigen-cam", "score-cam", "ablation-cam"]
BoxRule = Literal["paper", "release", "heuristic"]

# Share of the maximum at which boxes are cut, where it is not CAM's.
FRACTIONS: dict[Method, float] = {"grad-cam": 0.15}
MOST = 20  # classes of a picture


@dataclass(frozen=True, slots=True)
class CamSettings:
    """How a classifier's features become class maps and boxes.

    Attributes:
        method: `cam` weighs the features by the head; `grad-cam` by gradients; `eigen-cam` takes the direction that
            explains most of a picture's features, whatever the class; `score-cam` and `ablation-cam` weigh each channel
            by what the scores become with it alone, or without it.
        top: map so many of each picture's best classes.
        classes: map these classes in every picture instead, by number.
        resize: of the pictures.
        crops: 10 looks at four corners and the centre, 224 of 256 pixels, and their mirror images, as CAM's released
            code does.
        from_minimum: take each map from its own minimum up, as the demonstration of the released code does; by default
            values below zero speak against a class, and are off.
        per_image: scale each map by its own peak, not by the class's peak over the set.
        box: `paper`: the largest region above a fraction of the map's maximum; `release`: the boxes of the released
            code, a loose and a tight one; `heuristic`: those, and five guesses of the top three classes.
        fraction: of the maximum, for `paper`; 0.2, and 0.15 for `grad-cam`.
        min_share: of a picture's pixels that a region needs to be listed beside the largest one.
        overlays: how many pictures get an overlay: `all`, `none`, or the first so many.
        report: how many pictures `report.html` shows, likewise.
    """

    method: Method = "cam"
    top: int = 5
    classes: tuple[int, ...] = ()
    resize: Resize = field(default_factory=Resize)
    crops: int = 1
    from_minimum: bool = False
    per_image: bool = False
    box: BoxRule = "paper"
    fraction: float | None = None
    min_share: float = 0.01
    overlays: Overlays = "all"
    report: Overlays = REPORTED

    def __post_init__(self) -> None:
        for option, value, choices in (("method", self.method, Method), ("box", self.box, BoxRule)):
            if value not in get_args(choices):
                raise UsageError(f"{option}: {value!r} is not one of {', '.join(get_args(choices))}")
        if not isinstance(self.top, int) or not 1 <= self.top <= MOST:
            raise UsageError(f"classes: top1 to top{MOST} can be mapped, found top{self.top}")
        if twice := [number for number in self.classes if self.classes.count(number) > 1]:
            raise UsageError(f"classes: each class is mapped once, and class {twice[0]} is named twice; leave one out")
        if self.crops not in (1, 10):
            raise UsageError(f"crops: 1 or 10 is needed, found {self.crops}")
        if self.crops == 10 and self.resize != Resize("square", 256):
            raise UsageError("crops: ten crops of 224 are cut from a square of 256 pixels; use --size 256")
        if not 0 < self.share_of_maximum < 1:
            raise UsageError(f"fraction: a figure between 0 and 1 is needed, found {self.fraction}")
        if self.fraction is not None and self.box != "paper":
            raise UsageError(f"fraction: goes with --box paper; {self.box} has grey levels of its own, leave it out")
        if self.box == "heuristic" and self.method == "eigen-cam":
            raise UsageError("box: the heuristic's boxes are of three classes, and eigen-cam has one map of no class")
        if self.box == "heuristic" and (self.classes or self.top < 3):
            raise UsageError(
                "box: the heuristic's five boxes are of each picture's top three classes; use top3 or more"
            )
        if not 0 <= self.min_share <= 1:
            raise UsageError(f"min-share: a figure from 0 to 1 is needed, found {self.min_share}")
        overlays_of(self.overlays, 0)
        overlays_of(self.report, 0, "report")

    @property
    def share_of_maximum(self) -> float:
        """The fraction that holds."""
        return FRACTIONS.get(self.method, FRACTION) if self.fraction is None else self.fraction

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores them."""
        return {
            "method": self.method,
            "classes": list(self.classes) or f"top{self.top}",
            "per_image": self.per_image,
            "resize": self.resize.mode,
            "size": self.resize.pixels,
            "crops": self.crops,
            "from_minimum": self.from_minimum,
            "box": self.box,
            **({"fraction": self.share_of_maximum} if self.box == "paper" else {}),
            "min_share": self.min_share,
            "overlays": str(self.overlays),
            "report": str(self.report),
        }

    def overlays_of(self, images: int) -> int:
        """How many of `images` pictures get an overlay."""
        return overlays_of(self.overlays, images)

    def reported_of(self, images: int) -> int:
        """How many of `images` pictures the report shows; with none there is no report."""
        return overlays_of(self.report, images)
