"""Regions and boxes of class maps, as the CAM paper has them: what is above a fifth of a map's maximum.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016),
section 3.2. All of this is the host's work.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.maps import MaskFound, regions_at, working_size
from dff_onnx.maps.upsample import bilinear_weights
from dff_onnx.records import Box, Grid

FRACTION = 0.2


def map_regions(
    maps: NDArray[np.float32], original: Grid, fraction: float = FRACTION, min_share: float = 0.0
) -> tuple[MaskFound, ...]:
    """Masks and regions of one picture, for each class map.

    A pixel is on where the map, upsampled bilinearly to the picture's size, is above zero and above `fraction` times
    the largest value of that upsampled map. A map without a positive value has an empty mask.

    Args:
        maps: `(m, h, w)` class maps, finite.
        original: size of the picture in pixels. Masks of a longer side than 2048 are made at 2048 and their boxes and
            areas scaled back.
        fraction: from 0 up to, not including, 1.
        min_share: of the pixels that a region beside the largest needs to be listed.

    Returns:
        for each map its regions, 8-connected, largest first.

    Raises:
        UsageError: when the fraction cannot be.
        ArrayError: when maps are not `(m, h, w)`, empty or not finite.

    >>> maps = np.array([[[0, 0, 1, 0]], [[0, 0, -1, 0]]], np.float32)
    >>> [found.regions for found in map_regions(maps, Grid(1, 4))]
    [(Region(box=Box(x0=2, y0=0, x1=3, y1=1), area=1),), ()]
    """
    if not 0 <= fraction < 1:
        raise UsageError(f"fraction: a share of the maximum from 0 to below 1 is needed, found {fraction}")
    return next(regions_at([(maps, map_thresholds(maps, original, fraction), original)], min_share))


def largest_box(found: MaskFound) -> Box | None:
    """Around the largest region; None where the mask is empty.

    >>> largest_box(MaskFound(0.0, ())) is None
    True
    """
    return found.regions[0].box if found.regions else None


def map_thresholds(maps: NDArray[np.float32], original: Grid, fraction: float) -> NDArray[np.float32]:
    """The least value of a pixel that is on, for each map: what is above a fraction of the upsampled map's maximum.

    A map without a positive value has none that is also above zero.

    Args:
        maps: `(m, h, w)` class maps, finite.
        original: size of the picture in pixels.
        fraction: of the maximum.

    Returns:
        `(m,)`.

    Raises:
        ArrayError: when maps are not `(m, h, w)`, empty or not finite.

    >>> map_thresholds(np.array([[[0, 1]]], np.float32), Grid(1, 8), 0.5).round(3).tolist()
    [0.5]
    """
    if maps.ndim != 3 or 0 in maps.shape[1:] or not np.isfinite(maps).all():
        raise ArrayError(f"class maps: finite maps (m, h, w) are needed, found {maps.dtype} {maps.shape}")
    floors = np.float32(fraction) * upsampled_maxima(maps.astype(np.float32, copy=False), working_size(original))
    # `regions_at` takes what reaches its threshold; here it must be exceeded.
    return np.asarray(np.nextafter(floors, np.float32(np.inf)), np.float32)


def upsampled_maxima(maps: NDArray[np.float32], size: Grid) -> NDArray[np.float32]:
    """The largest value `(m,)` of each map `(m, h, w)` after bilinear upsampling, without upsampling it.

    Between two cells the interpolation is linear along each axis, so it is largest at the first or the last pixel
    there. These are two for each cell where there are dozens.

    >>> upsampled_maxima(np.array([[[0, 1]]], np.float32), Grid(1, 3)).tolist()
    [1.0]
    """
    rows, columns = _extreme_weights(maps.shape[1], size.height), _extreme_weights(maps.shape[2], size.width)
    values: NDArray[np.float32] = (rows @ maps @ columns.T).max(axis=(1, 2))
    return values


@lru_cache(maxsize=256)
def _extreme_weights(source: int, target: int) -> NDArray[np.float32]:
    """The rows of the interpolation's matrix that belong to the first and the last pixel between two cells."""
    weights = bilinear_weights(source, target)
    left = (weights > 0).argmax(axis=1)
    last = np.flatnonzero(left[1:] != left[:-1])
    places = np.unique(np.concatenate([[0], last, last + 1, [target - 1]]))
    return np.ascontiguousarray(weights[places])
