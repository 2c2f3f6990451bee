"""What an evaluation of parts keeps: counts of pixels, and the figures that follow from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dff_onnx.metrics import PartCounts, best_part_iou
from dff_onnx.report.found import Failure

How = Literal["coverage", "labels"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One factorization of one group.

    Attributes:
        layer, group: their names.
        k, seed: of the factorization.
        counts: over the group's annotated pictures.
    """

    layer: str
    group: str
    k: int
    seed: int
    counts: PartCounts

    @property
    def quality(self) -> float:
        """The IoU of each concept's best part, averaged over concepts (DFF, fig. 4); nan where nothing compares."""
        return best_part_iou(self.counts)


@dataclass(frozen=True, slots=True)
class ConceptScore:
    """One concept against the parts it was given, with the first seed.

    Attributes:
        layer, group, k, concept: which.
        how: by coverage above a half, or by a person's labels.
        parts: their names; empty where it got none.
        iou: dataset-wide; None where it got no part.
        per_image: the mean of its pictures' IoU, likewise.
    """

    layer: str
    group: str
    k: int
    concept: int
    how: How
    parts: tuple[str, ...]
    iou: float | None
    per_image: float | None


@dataclass(frozen=True, slots=True)
class ConceptInPicture:
    """The counts behind a `ConceptScore`, of one picture."""

    layer: str
    group: str
    k: int
    concept: int
    how: How
    path: str
    inter: int
    union: int


@dataclass(frozen=True, slots=True)
class LayerUsed:
    """A layer that was evaluated, its backbone's fingerprint, and where it ran."""

    name: str
    fingerprint: Mapping[str, Any]
    device: str


@dataclass(frozen=True, slots=True)
class PartFigures:
    """An evaluation of parts.

    Attributes:
        dataset: its name.
        layers: in the order asked for.
        groups: those that have a usable picture.
        parts: the names of each group's parts, in the order of the counts.
        ks, seeds: that were tried.
        settings: all others, as `run.toml` has them.
        trials: every factorization.
        concepts, images: against the parts that concepts were given.
        failures: pictures that could not be used.
        notes: sentences on what was left out.
    """

    dataset: str
    layers: tuple[LayerUsed, ...]
    groups: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]
    ks: tuple[int, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    trials: tuple[Trial, ...]
    concepts: tuple[ConceptScore, ...]
    images: tuple[ConceptInPicture, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    def quality(self, layer: str, k: int, group: str | None = None) -> Spread:
        """Over seeds: of one group, or of the mean over groups."""
        each = [self._of_seed(layer, k, seed, group) for seed in self.seeds]
        return spread([one for one in each if not math.isnan(one)])

    def _of_seed(self, layer: str, k: int, seed: int, group: str | None) -> float:
        there = [
            trial.quality
            for trial in self.trials
            if (trial.layer, trial.k, trial.seed) == (layer, k, seed) and group in (None, trial.group)
        ]
        known = [quality for quality in there if not math.isnan(quality)]
        return math.fsum(known) / len(known) if known else math.nan


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation (of a sample; nan of a single seed)."""

    mean: float
    deviation: float


def spread(values: list[float]) -> Spread:
    """Of some figures; nan of none.

    >>> spread([0.25, 0.75])
    Spread(mean=0.5, deviation=0.3535533905932738)
    """
    if not values:
        return Spread(math.nan, math.nan)
    return Spread(math.fsum(values) / len(values), statistics.stdev(values) if len(values) > 1 else math.nan)
