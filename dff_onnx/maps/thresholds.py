"""From which value on a concept is there: one threshold for each concept, over the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.errors import UsageError
from dff_onnx.maps.heat import heat_maps, peaks
from dff_onnx.maps.otsu import BINS, two_classes_of_counts
from dff_onnx.maps.percentile import set_percentile
from dff_onnx.maps.upsample import upsample
from dff_onnx.records import Grid

Rule = Literal["percentile", "fraction", "otsu"]
Domain = Literal["native", "input", "original"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """How thresholds are found.

    Attributes:
        rule: `percentile` of all values (DFF, section 4.3), a fixed `fraction` of the concept's peak over the set, or
            `otsu`: what parts the values into two classes of least variance.
        percentile: 0 to 100, for the first rule.
        fraction: 0 to 1, for the second.
        domain: the size at which values are counted, for percentile and Otsu: the `native` grid of the activations,
            the network's `input` (every picture then has the same weight), or the `original` picture.
    """

    rule: Rule = "percentile"
    percentile: float = 75.0
    fraction: float = 0.5
    domain: Domain = "input"

    def __post_init__(self) -> None:
        for value, choices in ((self.rule, Rule), (self.domain, Domain)):
            if value not in get_args(choices):
                raise UsageError(f"threshold: {value!r} is not one of {', '.join(get_args(choices))}")
        if not 0 <= self.percentile <= 100:
            raise UsageError(f"percentile: a figure from 0 to 100 is needed, found {self.percentile}")
        if not 0 <= self.fraction <= 1:
            raise UsageError(f"fraction: a figure from 0 to 1 is needed, found {self.fraction}")

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores it: the rule and what it depends on."""
        if self.rule == "fraction":
            return {"threshold": "fraction", "fraction": self.fraction}
        own = {"percentile": self.percentile} if self.rule == "percentile" else {}
        return {"threshold": self.rule, **own, "domain": self.domain}


def set_thresholds(H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], threshold: Threshold) -> NDArray[np.float32]:
    """The threshold of each concept.

    Args:
        H: `(N, k)` coefficients, `>= 0`, finite.
        grids: of the images, in the order of `H`'s rows.
        sizes: of the domain, one for each image.
        threshold: how.

    Returns:
        `(k,)` float32, on the host.

    >>> H = np.asarray([[0.0], [1.0], [9.0], [10.0]], np.float32)
    >>> set_thresholds(H, [Grid(2, 2)], [Grid(2, 2)], Threshold("fraction", fraction=0.5)).tolist()
    [5.0]
    """
    if threshold.rule == "percentile":
        return set_percentile(H, grids, sizes, threshold.percentile)
    highest = to_numpy(namespace_of(H).max(peaks(H, grids), axis=0)).astype(np.float64)
    if threshold.rule == "fraction":
        return (highest * threshold.fraction).astype(np.float32)
    return otsu_thresholds(otsu_counts(H, grids, sizes, highest), highest)


def otsu_counts(
    H: Array, grids: Sequence[Grid], sizes: Sequence[Grid], peaks: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Histograms `(k, bins)` from zero to each concept's peak over the set, added up image by image."""
    counts = np.zeros((len(peaks), BINS), np.int64)
    for index, heat in heat_maps(H, grids):
        maps = to_numpy(upsample(heat, sizes[index].height, sizes[index].width))
        for j, peak in enumerate(peaks):
            counts[j] += np.histogram(np.minimum(maps[j], peak), BINS, (0.0, peak or 1.0))[0]
    return counts


def otsu_thresholds(counts: NDArray[np.int64], peaks: NDArray[np.float64]) -> NDArray[np.float32]:
    """What parts the values of such histograms into two classes of least variance."""
    edges = [np.linspace(0.0, peak or 1.0, BINS + 1) for peak in peaks]
    found = [two_classes_of_counts(count, edge).thresholds[0] for count, edge in zip(counts, edges, strict=True)]
    return np.asarray(found, np.float32)
