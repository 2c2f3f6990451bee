"""DFF-CRF: heat maps sharpened along the edges of their picture.

A dense conditional random field over the pixels, solved by filter-based mean field (Kraehenbuehl & Koltun 2011) with a
guided filter in place of the Gaussian ones (DFF, section 4.4). The paper gives no parameters; the defaults come from a
sweep on half of iCoseg's groups (`benchmarks/crf_sweep.py`).

A concept's evidence at a pixel is its heat relative to its threshold, `s = H / t`: the mask's border has `s = 1`.
`binary` asks for each concept by itself, concept or not: `p = s / (s + 1)`. `joint` asks which one, background
included: `p_f = s_f / (1 + sum_g s_g)`. Potts compatibility makes the message of every label its own filtered map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.errors import UsageError
from dff_onnx.maps.guided import apply_model, guide, linear_model, smaller
from dff_onnx.maps.shrink import shrink
from dff_onnx.maps.upsample import upsample

Mode = Literal["binary", "joint"]
# No pixel is more certain than this before it has heard its neighbours.
CERTAIN = 0.98
# Log-odds: a pixel whose heat is exactly its threshold belongs to the concept.
TIE = 1e-4
# Of a concept's peak: a threshold below it (zero, for a concept that is nowhere in most pictures) is raised to it.
LEAST_THRESHOLD = 0.05


@dataclass(frozen=True, slots=True)
class Crf:
    """How heat maps are sharpened.

    Attributes:
        mode: `binary`, each concept by itself, or `joint`, concepts compete for the pixels.
        steps: of mean field.
        weight: of what the neighbours say, against a pixel's own evidence.
        radius: of the filter's windows, as a share of the picture's longer side.
        eps: variance of colour, on a scale of 0..1, below which a window counts as flat.
        subsample: all steps but the last are taken at this fraction of the size; 1 for none.
    """

    mode: Mode = "binary"
    steps: int = 5
    weight: float = 6.0
    radius: float = 0.06
    eps: float = 1e-4
    subsample: int = 3

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UsageError(f"crf: {self.mode!r} is not one of {', '.join(get_args(Mode))}")
        if not all(isinstance(count, int) and 1 <= count <= 1000 for count in (self.steps, self.subsample)):
            raise UsageError(f"crf: steps ({self.steps}) and subsample ({self.subsample}) must be from 1 to 1000")
        if not (0 <= self.weight <= 1000 and 0 < self.radius <= 1 and 0 < self.eps <= 1000):
            found = f"radius {self.radius}, eps {self.eps}, weight {self.weight}"
            raise UsageError(f"crf: radius (0 to 1), eps (above 0) or weight (0 and more) cannot be; found {found}")

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores it."""
        return {name: getattr(self, name) for name in ("mode", "steps", "weight", "radius", "eps", "subsample")}


def evidence(heat: Array, thresholds: Array, peaks: Array) -> Array:
    """Heat maps `(k, h, w)` relative to their thresholds `(k,)`, each at least a small share of its peak `(k,)`."""
    xp = namespace_of(heat)
    least = xp.maximum(thresholds, LEAST_THRESHOLD * peaks)
    return heat / xp.where(least > 0, least, xp.ones_like(least))[:, None, None]


def sharpen(strength: Array, picture: Array, crf: Crf | None = None) -> Array:
    """Mean field on one picture.

    Args:
        strength: `(k, h, w)` evidence, 1 on the border of a concept's mask, on any grid.
        picture: `(3, H, W)` float32, 0..1.
        crf: how.

    Returns:
        `(k, H, W)`, 0..1; from 0.5 on the pixel is the concept's. With `joint`, at most one concept reaches that.

    >>> import numpy as np
    >>> picture = np.zeros((3, 16, 16), np.float32); picture[:, :, 8:] = 1
    >>> strength = np.where(np.arange(16) < 7, 0.5, 1.5).astype(np.float32)[None, None, :].repeat(16, axis=1)
    >>> (sharpen(strength, picture, Crf(subsample=1))[0, 0] >= 0.5).nonzero()[0].tolist()
    [8, 9, 10, 11, 12, 13, 14, 15]
    """
    crf = crf or Crf()
    height, width = picture.shape[1:]
    small = (height, width) if crf.subsample == 1 else smaller(height, width, crf.subsample)
    radius = max(1, round(crf.radius * max(small)))
    made = guide(picture if small == (height, width) else shrink(picture, *small), radius, crf.eps)
    unary = _unary(_resized(strength, *small), crf)
    field = _belief(unary, crf)
    for _ in range(crf.steps - 1):
        field = _belief(unary + _message(apply_model(linear_model(field, made), made.picture), crf), crf)
    # The last step at full size: the linear models are smooth, the edges come from the picture.
    filtered = apply_model(linear_model(field, made), picture)
    return _alone(_belief(_unary(_resized(strength, height, width), crf) + _message(filtered, crf), crf), crf)


def _resized(maps: Array, height: int, width: int) -> Array:
    """Smaller by averaging, larger by interpolation."""
    if height * width < maps.shape[1] * maps.shape[2]:
        return shrink(maps, height, width)
    return upsample(maps, height, width)


def _unary(strength: Array, crf: Crf) -> Array:
    """Log-odds of each concept against the background, before the neighbours are heard."""
    xp = namespace_of(strength)
    if crf.mode == "binary":
        share = strength / (1 + strength)
        share = xp.clip(share, 1 - CERTAIN, CERTAIN)
        return xp.log(share / (1 - share)) + TIE
    total = 1 + xp.sum(strength, axis=0, keepdims=True)
    background = xp.clip(1 / total, 1 - CERTAIN, CERTAIN)
    return xp.log(xp.clip(strength / total, 1 - CERTAIN, CERTAIN)) - xp.log(background) + TIE


def _belief(odds: Array, crf: Crf) -> Array:
    """From log-odds against the background to probabilities."""
    xp = namespace_of(odds)
    if crf.mode == "binary":
        return 1 / (1 + xp.exp(-odds))
    highest = xp.maximum(xp.max(odds, axis=0, keepdims=True), xp.zeros_like(odds[:1, ...]))
    raised = xp.exp(odds - highest)
    return raised / (xp.sum(raised, axis=0, keepdims=True) + xp.exp(-highest))


def _message(filtered: Array, crf: Crf) -> Array:
    """What the neighbours say, as log-odds. The guided filter's weights sum to 1, so the background needs no filter."""
    xp = namespace_of(filtered)
    clipped = xp.clip(filtered, 0, 1)
    if crf.mode == "binary":
        return crf.weight * (2 * clipped - 1)
    background = xp.clip(1 - xp.sum(filtered, axis=0, keepdims=True), 0, 1)
    return crf.weight * (clipped - background)


def _alone(field: Array, crf: Crf) -> Array:
    """Joint beliefs so that 0.5 is reached where a concept is the likeliest of all labels."""
    if crf.mode == "binary":
        return field
    xp = namespace_of(field)
    best = 1 - xp.sum(field, axis=0)  # of the labels before this one: the background first
    before, after = [], []
    for j in range(field.shape[0]):
        before.append(best)
        best = xp.maximum(best, (1 + TIE) * field[j, ...])  # of two that are equally likely, the first
    best = xp.zeros_like(best)
    for j in range(field.shape[0] - 1, -1, -1):
        after.append(best)
        best = xp.maximum(best, field[j, ...])
    rival = xp.stack([xp.maximum(one, other) for one, other in zip(before, reversed(after), strict=True)])
    return field / xp.maximum(field + rival, xp.full_like(field, 1e-12))
