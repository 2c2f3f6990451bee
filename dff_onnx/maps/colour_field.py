"""Foreground maps sharpened by the colours of their own picture: mean field with a colour model.

A map says roughly where the foreground is. The colours there, and elsewhere, then say of every pixel on which side its
colour is more usual; neighbours of like colour agree by the guided filter; and round again. GrabCut's idea (Rother,
Kolmogorov & Blake 2004) with histograms and mean field in place of mixtures and cuts: measured on half of iCoseg's
groups, better by 0.06 IoU and five times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dff_onnx.maps.crf import Crf
from dff_onnx.maps.guided import Guide, apply_model, guide, linear_model

Floats = NDArray[np.float32]

BINS = 32  # of each axis of CIE Lab
SMOOTH = 1.0  # standard deviation of the histogram's smoothing, in bins
FLOOR = 1e-5  # share of a picture below which a colour says nothing
MOST_ODDS = 4.0  # log-odds that colour may give a pixel
NEIGHBOURS = Crf()  # what they say counts as much as there
SHARED = 0.5  # of the foreground's colours, how much is the whole set's
STEPS = 2  # of mean field, for each look at the colours

# sRGB to XYZ (IEC 61966-2-1), rows divided by the white point D65.
TO_XYZ = np.array(
    [
        [0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456],
        [0.212671, 0.715160, 0.072169],
        [0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754],
    ],
    np.float32,
)


def lab(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CIE Lab in 8 bits, `L * 255 / 100`, `a + 128`, `b + 128`, as OpenCV has it.

    Args:
        picture: `(h, w, 3)` sRGB.

    >>> lab(np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8))[0].tolist()
    [[255, 128, 128], [136, 208, 195]]
    """
    xyz = _linear_light()[picture] @ TO_XYZ.T
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lightness = np.where(xyz[..., 1] > 0.008856, 116 * root[..., 1] - 16, 903.3 * xyz[..., 1])
    a, b = 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])
    levels = np.stack([lightness * (255 / 100), a + 128, b + 128], axis=-1)
    eight_bits: NDArray[np.uint8] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return eight_bits


@lru_cache(maxsize=1)
def _linear_light() -> Floats:
    """Of each of the 256 levels of sRGB."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


def colour_bins(picture: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The number of each pixel's bin `(h, w)` in a histogram of `BINS ** 3` colours."""
    part = lab(picture).astype(np.int32) * BINS // 256
    return (part[..., 0] * BINS + part[..., 1]) * BINS + part[..., 2]


def colour_shares(colours: NDArray[np.int32], weights: Floats) -> NDArray[np.float64]:
    """How much of the weights each colour has, `(BINS ** 3,)`; sums to 1, or is 0 where nothing has weight."""
    counts = np.bincount(colours.ravel(), weights.ravel(), BINS**3)
    return counts / max(float(counts.sum()), 1e-12)


def colour_overlap(colours: NDArray[np.int32], field: Floats) -> float:
    """How alike the colours inside and outside are: Bhattacharyya's coefficient, 0 for none in common, 1 for equal.

    Args:
        colours: `(h, w)`, as `colour_bins` gives them; two bins of each axis count as one.
        field: `(h, w)` foreground, 0..1.
    """
    inside, outside = (
        colour_shares(colours, weights).reshape((BINS // 2, 2) * 3).sum(axis=(1, 3, 5))
        for weights in (field, 1 - field)
    )
    return float(np.sqrt(inside * outside).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a picture contributes, computed once for all looks; some twenty times the picture's size.

    Attributes:
        colours: `(h, w)`, each pixel's bin.
        guide: for the filter.
    """

    colours: NDArray[np.int32]
    guide: Guide


def prepare(picture: NDArray[np.uint8]) -> Prepared:
    """Of a picture `(h, w, 3)`."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / 255
    radius = max(1, round(NEIGHBOURS.radius * max(picture.shape[:2])))
    return Prepared(colour_bins(picture), guide(planes, radius, NEIGHBOURS.eps))


def settle(unary: Floats, field: Floats, picture: Prepared, shared: NDArray[np.float64] | None = None) -> Floats:
    """One look at the colours, and mean field with what they say.

    Args:
        unary: `(h, w)` log-odds of the foreground, as the network sees it.
        field: `(h, w)` foreground so far, 0..1.
        picture: as `prepare` gives it.
        shared: the foreground's colours over a set of pictures, as `colour_shares` gives them.

    Returns:
        `(h, w)` foreground, 0..1.
    """
    inside, outside = colour_shares(picture.colours, field), colour_shares(picture.colours, 1 - field)
    if shared is not None:
        inside = (1 - SHARED) * inside + SHARED * shared
    odds = unary + _colour_odds(inside, outside)[picture.colours]
    for _ in range(STEPS):
        filtered = apply_model(linear_model(field[None], picture.guide), picture.guide.picture)[0]
        field = 1 / (1 + np.exp(-(odds + NEIGHBOURS.weight * (2 * np.clip(filtered, 0, 1) - 1))))
    return field


def _colour_odds(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> Floats:
    smooth = [
        gaussian_filter(shares.reshape(BINS, BINS, BINS).astype(np.float32), SMOOTH).ravel()
        for shares in (inside, outside)
    ]
    odds = np.log((smooth[0] + FLOOR) / (smooth[1] + FLOOR))
    return np.clip(odds, -MOST_ODDS, MOST_ODDS).astype(np.float32)
