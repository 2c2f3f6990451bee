"""Masks become regions: 8-connected components with their boxes, for all concepts of an image at once.

A mask is read as runs (stretches of a row that are on); runs of neighbouring rows that touch, also by a corner, belong
together. There are a few hundred runs where there are a hundred thousand pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dff_onnx.maps.upsample import upsample
from dff_onnx.records import Box, Grid, Region

# Masks of larger pictures are made at this long side, and boxes and areas scaled back: a heat map of a few dozen
# cells has no finer detail.
LONG_SIDE = 2048


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
    """Masks and regions of one image, for each concept.

    A pixel is on where the heat map, upsampled to the original size, reaches the threshold and is above zero (a sparse
    concept has a threshold of zero, which everything reaches).

    Args:
        heat: `(k, h, w)` heat maps on the image's grid.
        thresholds: `(k,)`.
        original: size of the picture in pixels; masks of a longer side than 2048 are made at 2048 and their boxes and
            areas scaled back.
        min_share: of the pixels that a region beside the largest needs to be listed.
    """
    work = _working_size(original)
    active = np.flatnonzero((heat.max(axis=(1, 2)) >= thresholds * (1 - 1e-6)) & heat.any(axis=(1, 2)))
    found = [MaskFound(0.0, ())] * len(heat)
    if active.size:
        masks = mask(upsample(heat[active], work.height, work.width), thresholds[active])
        for j, result in zip(active, regions_of(masks, min_share), strict=True):
            found[j] = result if work == original else _scaled(result, work, original)
    return tuple(found)


def mask(upsampled: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where upsampled maps `(k, H, W)` reach their thresholds `(k,)` and are above zero.

    >>> mask(np.array([[[0.0, 1.0, 2.0]]]), np.array([1.0])).tolist()
    [[[False, True, True]]]
    """
    smallest = np.nextafter(np.float32(0), np.float32(1))
    return upsampled >= np.maximum(thresholds, smallest)[:, None, None].astype(upsampled.dtype)


def regions_of(masks: NDArray[np.bool_], min_share: float = 0.0) -> tuple[MaskFound, ...]:
    """The 8-connected components of several masks of one size.

    Args:
        masks: `(m, H, W)`.
        min_share: of the pixels that a region beside the largest needs.

    >>> regions_of(np.eye(3, dtype=bool)[None])[0].regions
    (Region(box=Box(x0=0, y0=0, x1=3, y1=3), area=3),)
    """
    runs = _runs(masks)
    labels = _labels(runs, masks.shape[1])
    m, pixels = masks.shape[0], masks.shape[1] * masks.shape[2]
    components = int(labels.max()) + 1 if labels.size else 0
    first = np.full(components, labels.size)
    np.minimum.at(first, labels, np.arange(labels.size))
    area = np.bincount(labels, runs.end - runs.start, components).astype(np.int64)
    x0, y0 = _least(runs.start, labels, components), _least(runs.row, labels, components)
    x1, y1 = -_least(-runs.end, labels, components), -_least(-runs.row, labels, components) + 1
    owner = runs.mask[first]
    order = np.lexsort((first, -area, owner))
    bounds = np.searchsorted(owner[order], np.arange(m + 1))
    found = []
    for j in range(m):
        mine = order[bounds[j] : bounds[j + 1]]
        kept = [i for n, i in enumerate(mine) if n == 0 or area[i] >= min_share * pixels]
        boxes = [Box(int(x0[i]), int(y0[i]), int(x1[i]), int(y1[i])) for i in kept]
        listed = tuple(Region(box, int(area[i])) for box, i in zip(boxes, kept, strict=True))
        found.append(MaskFound(float(area[mine].sum()) / pixels, listed))
    return tuple(found)


def _runs(masks: NDArray[np.bool_]) -> _Runs:
    m, height, width = masks.shape
    padded = np.zeros((m * height, width + 1), np.bool_)  # a column that is off parts the rows
    padded[:, :width] = masks.reshape(-1, width)
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat[:1].any():
        edges = np.concatenate([[0], edges])
    line, start = np.divmod(edges[::2], width + 1)
    return _Runs(line // height, line % height, start, edges[1::2] - line * (width + 1))


def _labels(runs: _Runs, height: int) -> NDArray[np.intp]:
    """The component of each run."""
    count = runs.start.size
    if count == 0:
        return np.zeros(0, np.intp)
    line = runs.mask * (height + 1) + runs.row  # an empty line parts the masks
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


def _working_size(original: Grid) -> Grid:
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
