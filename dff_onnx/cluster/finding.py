"""What a run finds, with activations, coefficients and maps on the workers: the functions of `runs`, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.backbone.protocol import Activations
from dff_onnx.cluster.reading import Spread
from dff_onnx.factorization import Factorization, Part, factorize, losses
from dff_onnx.maps import MaskFound, heat_map, offsets, peaks
from dff_onnx.maps import scores as relative
from dff_onnx.maps.percentile import Counted, Search, counted, percentile_by, sampled
from dff_onnx.maps.thresholds import otsu_counts, otsu_thresholds
from dff_onnx.records import Grid
from dff_onnx.report.found import Found
from dff_onnx.runs.discover import Beside, concepts_of, fit_of
from dff_onnx.runs.discovery import failure_of, images_with, regions_in
from dff_onnx.runs.sampled import sizes_of
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings

Figures = tuple[list[tuple[MaskFound, ...]], list[float]]


@dataclass(frozen=True, slots=True)
class Discovered:
    """What was found, its heat maps on the workers.

    Attributes:
        found: concepts, scores, boxes.
        W: `(k, c)` concepts.
        image_peaks: `(images, k)` peak of each concept in each image.
    """

    found: Found
    W: NDArray[np.float32]
    image_peaks: NDArray[np.float32]


def found_in(spread: Spread, activations: Activations, settings: Settings, k: int, beside: Beside) -> Discovered:
    """Concepts, thresholds, masks and boxes of pictures that workers have read.

    Args:
        spread: the pictures.
        activations: the network, for its names.
        settings: of the run.
        k: number of concepts.
        beside: what concepts are looked at beside.
    """
    rows, seen = spread.rows, spread.pictures
    fitted = factorize(rows, k, solver=settings.solver, seed=settings.seed)
    image_peaks = np.concatenate(list(rows.each_with(part_peaks_of, spread.seen)))
    highest = image_peaks.max(axis=0)
    thresholds = _thresholds(spread, settings, highest)
    W = np.asarray(to_numpy(fitted.W), np.float32)
    work = partial(part_found, W=to_numpy(fitted.W), thresholds=thresholds, settings=settings)
    figures: list[Figures] = list(rows.each_with(work, spread.seen))
    regions, of_images = [one for part, _ in figures for one in part], [one for _, part in figures for one in part]
    found = Found(
        fingerprint=activations.fingerprint,
        device=spread.device,
        scale="set",
        fit=fit_of(fitted, _shape(spread, fitted), k, settings),
        concepts=concepts_of(fitted, thresholds, highest, W, beside),
        images=tuple(images_with(seen, relative(image_peaks), regions, of_images)),
        failures=tuple(map(failure_of, spread.failures)),
    )
    return Discovered(found, W, image_peaks)


def _shape(spread: Spread, fitted: Factorization) -> tuple[int, int]:
    return sum(extent.size for extent in spread.rows.extents), int(fitted.W.shape[1])


def host_H(Ht: Array) -> NDArray[np.float32]:
    """The coefficients `(rows, k)` of a part."""
    return np.asarray(to_numpy(Ht), np.float32).T


def part_peaks_of(part: Part, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """The largest coefficient of each concept in each picture of a part."""
    H = np.ascontiguousarray(host_H(part.Ht))
    return np.asarray(peaks(H, [one.grid for one in seen]))


def part_found(
    part: Part, seen: Sequence[Seen], W: NDArray[np.floating], thresholds: NDArray[np.float32], settings: Settings
) -> Figures:
    """Masks and regions of a part's pictures, and how much of each the concepts leave unexplained."""
    A, grids = part.rows.source, [one.grid for one in seen]
    of_images = losses(A, part.Ht.T, like(W, part.Ht), [grid.cells for grid in grids])
    H = np.ascontiguousarray(host_H(part.Ht))
    heats = [heat_map(H, start, grid) for start, grid in zip(offsets(grids), grids, strict=False)]
    return list(regions_in(heats, thresholds, seen, settings)), of_images.tolist()


def _thresholds(spread: Spread, settings: Settings, highest: NDArray[np.float32]) -> NDArray[np.float32]:
    """See `set_thresholds`."""
    rule, rows = settings.threshold, spread.rows
    if rule.rule == "fraction":
        return (highest.astype(np.float64) * rule.fraction).astype(np.float32)
    sizes = [(part, sizes_of(part, settings)) for part in spread.seen]
    if rule.rule == "otsu":
        upmost = highest.astype(np.float64)
        counts_of = list(rows.each_with(partial(part_otsu, upmost=upmost), sizes))
        return otsu_thresholds(np.sum(counts_of, axis=0), upmost)
    every = partial(part_sampled, pictures=len(spread.pictures))
    sample = np.sort(np.concatenate(list(rows.each_with(every, sizes))), axis=0)

    def counts(searches: Sequence[Search]) -> list[Counted]:
        first, *rest = rows.each_with(partial(part_counted, searches=searches), sizes)
        for part in rest:
            for whole, one in zip(first, part, strict=True):
                whole.join(one)
        return list(first)

    total = sum(size.cells for _, part in sizes for size in part)
    return percentile_by(total, rule.percentile, sample, counts)


Sized = tuple[Sequence[Seen], Sequence[Grid]]


def part_sampled(part: Part, sized: Sized, pictures: int) -> NDArray[np.float32]:
    """Values of a part's maps, for a percentile."""
    seen, sizes = sized
    return np.asarray(sampled(host_H(part.Ht), [one.grid for one in seen], sizes, pictures))


def part_counted(part: Part, sized: Sized, searches: Sequence[Search]) -> list[Counted]:
    """A pass over a part's maps, for a percentile."""
    seen, sizes = sized
    return counted(host_H(part.Ht), [one.grid for one in seen], sizes, searches)


def part_otsu(part: Part, sized: Sized, upmost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Histograms of a part's maps, for Otsu's thresholds."""
    seen, sizes = sized
    return otsu_counts(host_H(part.Ht), [one.grid for one in seen], sizes, upmost)
