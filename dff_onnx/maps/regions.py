"""Masks become regions: 8-connected components with their boxes, for all concepts of an image at once.

A mask is read as runs (stretches of a row that are on); runs of neighbouring rows that touch, also by a corner, belong
together. There are a few hundred runs where there are a hundred thousand pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dff_onnx.maps.upsample import bilinear_weights
from dff_onnx.records import Box, Grid, Region

# Masks of larger pictures are made at this long side, and boxes and areas scaled back: a heat map of a few dozen
# cells has no finer detail.
LONG_SIDE = 2048
TOGETHER = 32  # images whose runs are linked at once: the sparse graph costs the same for one
SMALLEST = np.nextafter(np.float32(0), np.float32(1))


@dataclass(frozen=True, slots=True)
class MaskFound:
    """What one concept's mask holds in one image.

    Attributes:
        share: of the image's pixels that are on.
        regions: largest first; of equal ones, the first in raster order.
    """

    share: float
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True)
class _Runs:
    """Stretches of pixels that are on: `start <= x < end` in `row` of mask `mask`."""

    mask: NDArray[np.intp]
    row: NDArray[np.intp]
    start: NDArray[np.intp]
    end: NDArray[np.intp]


def image_regions(
    heat: NDArray[np.float32], thresholds: NDArray[np.float32], original: Grid, min_share: float = 0.0
) -> tuple[MaskFound, ...]:
    """Masks and regions of one image, for each concept: `set_regions` of one."""
    return next(set_regions([(heat, original)], thresholds, min_share))


def set_regions(
    images: Iterable[tuple[NDArray[np.float32], Grid]], thresholds: NDArray[np.float32], min_share: float = 0.0
) -> Iterator[tuple[MaskFound, ...]]:
    """Masks and regions of each image, for each concept.

    A pixel is on where the heat map, upsampled to the original size, reaches the threshold and is above zero (a sparse
    concept has a threshold of zero, which everything reaches).

    Args:
        images: `(k, h, w)` heat maps on the image's grid, and the size of the picture in pixels. Masks of a longer
            side than 2048 are made at 2048 and their boxes and areas scaled back.
        thresholds: `(k,)`.
        min_share: of the pixels that a region beside the largest needs to be listed.
    """
    yield from regions_at(((heat, thresholds, original) for heat, original in images), min_share)


def regions_at(
    images: Iterable[tuple[NDArray[np.float32], NDArray[np.float32], Grid]], min_share: float = 0.0
) -> Iterator[tuple[MaskFound, ...]]:
    """As `set_regions`, where every image has thresholds of its own.

    Args:
        images: `(k, h, w)` heat maps, `(k,)` thresholds, and the size of the picture in pixels; `k` may differ.
        min_share: of the pixels that a region beside the largest needs to be listed.

    >>> heat = np.array([[[0, 1]]], np.float32)
    >>> [found] = regions_at([(heat, np.full(1, 0.5, np.float32), Grid(1, 8))])
    >>> found[0].regions
    (Region(box=Box(x0=4, y0=0, x1=8, y1=1), area=4),)
    """
    waiting = iter(images)
    while group := list(islice(waiting, TOGETHER)):
        sizes = [working_size(original) for _, _, original in group]
        ends = np.cumsum([0, *(len(thresholds) for _, thresholds, _ in group)]).tolist()
        parts = [_heat_runs(heat, levels, size) for (heat, levels, _), size in zip(group, sizes, strict=True)]
        runs = _joined(parts, ends[:-1])
        found = _regions(runs, np.repeat([size.cells for size in sizes], np.diff(ends)), min_share)
        for (_, _, original), size, (low, high) in zip(group, sizes, pairwise(ends), strict=True):
            mine = tuple(found[low:high])
            yield mine if size == original else tuple(_scaled(one, size, original) for one in mine)


def mask(upsampled: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where upsampled maps `(k, H, W)` reach their thresholds `(k,)` and are above zero.

    >>> mask(np.array([[[0.0, 1.0, 2.0]]]), np.array([1.0])).tolist()
    [[[False, True, True]]]
    """
    return upsampled >= np.maximum(thresholds, SMALLEST)[:, None, None].astype(upsampled.dtype)


def regions_of(masks: NDArray[np.bool_], min_share: float = 0.0) -> tuple[MaskFound, ...]:
    """The 8-connected components of several masks of one size.

    Args:
        masks: `(m, H, W)`.
        min_share: of the pixels that a region beside the largest needs.

    >>> regions_of(np.eye(3, dtype=bool)[None])[0].regions
    (Region(box=Box(x0=0, y0=0, x1=3, y1=3), area=3),)
    """
    m, height, width = masks.shape
    lines = np.arange(m * height)
    runs = _runs(masks.reshape(-1, width), lines // height, lines % height)
    return tuple(_regions(runs, np.full(m, height * width), min_share))


def _heat_runs(heat: NDArray[np.float32], thresholds: NDArray[np.float32], size: Grid) -> _Runs:
    """The runs of an image's masks. Rows that cannot reach the threshold are never widened."""
    floors = np.maximum(thresholds, SMALLEST).astype(np.float32)
    # Rows lie in columns here: the largest of each is then found along whole vectors.
    rows = heat.transpose(0, 2, 1) @ bilinear_weights(heat.shape[1], size.height).T
    masks, lines = np.nonzero(rows.max(axis=1) >= (floors * np.float32(1 - 1e-6))[:, None])
    values = rows[masks, :, lines] @ bilinear_weights(heat.shape[2], size.width).T
    return _runs(values >= floors[masks][:, None], masks, lines)


def _joined(parts: Sequence[_Runs], firsts: Sequence[int]) -> _Runs:
    """Runs of several images, their masks numbered on from the first of each image."""
    return _Runs(
        np.concatenate([part.mask + first for part, first in zip(parts, firsts, strict=True)]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.end for part in parts]),
    )


def _regions(runs: _Runs, pixels: NDArray[np.intp], min_share: float) -> list[MaskFound]:
    """The components of each mask; `pixels` has one entry for each mask."""
    labels = _labels(runs)
    components = int(labels.max()) + 1 if labels.size else 0
    first = np.full(components, labels.size)
    np.minimum.at(first, labels, np.arange(labels.size))
    area = np.bincount(labels, runs.end - runs.start, components).astype(np.int64)
    x0, y0 = _least(runs.start, labels, components), _least(runs.row, labels, components)
    x1, y1 = -_least(-runs.end, labels, components), -_least(-runs.row, labels, components) + 1
    owner = runs.mask[first]
    order = np.lexsort((first, -area, owner))
    bounds = np.searchsorted(owner[order], np.arange(len(pixels) + 1))
    on = np.bincount(owner, area, len(pixels)) / pixels
    listed = np.stack([x0, y0, x1, y1, area], axis=1)[order].tolist()
    found = []
    for j, (low, high) in enumerate(pairwise(bounds.tolist())):
        least = min_share * pixels[j]
        kept = [entry for n, entry in enumerate(listed[low:high]) if n == 0 or entry[4] >= least]
        found.append(MaskFound(float(on[j]), tuple(Region(Box(*entry[:4]), entry[4]) for entry in kept)))
    return found


def _runs(on: NDArray[np.bool_], masks: NDArray[np.intp], rows: NDArray[np.intp]) -> _Runs:
    """Runs of lines of pixels `(lines, width)`, each line with its mask and row, in raster order."""
    count, width = on.shape
    padded = np.zeros((count, width + 1), np.bool_)  # a column that is off parts the lines
    padded[:, :width] = on
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[:1].any():
        edges = np.concatenate([[0], edges])
    line, start = np.divmod(edges[::2], width + 1)
    return _Runs(masks[line], rows[line], start, edges[1::2] - line * (width + 1))


def _labels(runs: _Runs) -> NDArray[np.intp]:
    """The component of each run."""
    count = runs.start.size
    if count == 0:
        return np.zeros(0, np.intp)
    line = runs.mask * (int(runs.row.max()) + 2) + runs.row  # an empty line parts the masks
    stretch = int(runs.end.max()) + 2
    starts, ends = line * stretch + runs.start, line * stretch + runs.end
    above = (line - 1) * stretch
    # A run of the line above touches when it ends no earlier than this one starts and starts no later than it ends.
    low = np.searchsorted(ends, above + runs.start, "left")
    high = np.searchsorted(starts, above + runs.end, "right")
    touching = np.maximum(high - low, 0)
    below = np.repeat(np.arange(count), touching)
    offset = np.arange(below.size) - np.repeat(np.cumsum(touching) - touching, touching)
    links = coo_array((np.ones(below.size, np.int8), (below, low[below] + offset)), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.intp)


def _least(values: NDArray[np.intp], labels: NDArray[np.intp], components: int) -> NDArray[np.intp]:
    least = np.full(components, np.iinfo(np.intp).max)
    np.minimum.at(least, labels, values)
    return least


def working_size(original: Grid) -> Grid:
    """The size at which masks of a picture are made: its own, or one with a longer side of 2048 pixels.

    >>> working_size(Grid(1000, 4096))
    Grid(height=500, width=2048)
    """
    longest = max(original.height, original.width)
    if longest <= LONG_SIDE:
        return original
    return Grid(*(max(1, round(side * LONG_SIDE / longest)) for side in (original.height, original.width)))


def _scaled(found: MaskFound, work: Grid, original: Grid) -> MaskFound:
    across, down = original.width / work.width, original.height / work.height
    return MaskFound(
        found.share,
        tuple(
            Region(
                Box(
                    int(region.box.x0 * across),
                    int(region.box.y0 * down),
                    min(original.width, -int(-region.box.x1 * across // 1)),
                    min(original.height, -int(-region.box.y1 * down // 1)),
                ),
                round(region.area * across * down),
            )
            for region in found.regions
        ),
    )
