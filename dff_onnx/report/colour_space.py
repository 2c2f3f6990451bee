"""Colours as figures: OKLCh, CIELAB as people of any colour vision see it, and how far apart two colours are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Ottosson, "A perceptual color space for image processing", 2020.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
FROM_OKLAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
FROM_CONES = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
# Machado, Oliveira & Fernandes 2009, severity 1, for linear sRGB: normal vision, protanopia, deuteranopia, tritanopia.
VISIONS = (
    np.eye(3),
    np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    ),
    np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ),
)
# IEC 61966-2-1, relative to the white point D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def to_oklch(rgb: ArrayLike) -> Floats:
    """Lightness, chroma and hue (radians) of colours `(n, 3)` 0..255."""
    lightness, a, b = (np.cbrt(_linear(rgb) @ TO_CONES.T) @ TO_OKLAB.T).T
    return np.stack([lightness, np.hypot(a, b), np.arctan2(b, a)], axis=-1)


def from_oklch(colours: ArrayLike) -> NDArray[np.uint8]:
    """The RGB of those among the colours `(n, 3)` that a screen can show, in their order: `(m, 3)`."""
    linear = linear_of(colours)
    return nearest_rgb(linear[((linear >= 0) & (linear <= 1)).all(axis=-1)])


def linear_of(colours: ArrayLike) -> Floats:
    """Linear sRGB of colours `(n, 3)` in OKLCh; below 0 or above 1 where no screen can show them."""
    lightness, chroma, hue = np.asarray(colours, np.float64).T
    oklab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    linear: Floats = (oklab @ FROM_OKLAB.T) ** 3 @ FROM_CONES.T
    return linear


def nearest_rgb(linear: Floats) -> NDArray[np.uint8]:
    """Linear sRGB `(n, 3)` as RGB, cut to what a screen can show."""
    inside = np.clip(linear, 0, 1)
    share = np.where(inside <= 0.0031308, 12.92 * inside, 1.055 * inside ** (1 / 2.4) - 0.055)
    rgb: NDArray[np.uint8] = np.rint(255 * share).astype(np.uint8)
    return rgb


def differences(ours: ArrayLike, theirs: ArrayLike, lightness_unit: float = 1.0) -> Floats:
    """CIEDE2000 between colours `(n, 3)` and `(m, 3)`, for the eyes that tell them apart worst: `(n, m)`.

    The unit of lightness is the formula's parametric factor k_L: lightness counts less where it is larger.

    >>> round(float(differences([[255, 80, 0]], [[140, 150, 0]])[0, 0]))  # red and green: 46 to most people
    5
    """
    seen = [_ciede2000(_seen(ours, eyes)[:, None], _seen(theirs, eyes)[None], lightness_unit) for eyes in VISIONS]
    least: Floats = np.min(seen, axis=0)
    return least


def _linear(rgb: ArrayLike) -> Floats:
    share = np.asarray(rgb, np.float64) / 255
    linear: Floats = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear


def _seen(rgb: ArrayLike, eyes: Floats) -> Floats:
    """CIELAB as these eyes see it."""
    xyz = np.clip(_linear(rgb) @ eyes.T, 0, 1) @ TO_XYZ.T / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _ciede2000(ours: Floats, theirs: Floats, k_L: float) -> Floats:
    """Of CIELAB colours (Sharma, Wu & Dalal 2005, the letters are theirs)."""
    (L1, a1, b1), (L2, a2, b2) = np.moveaxis(ours, -1, 0), np.moveaxis(theirs, -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    G = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    a1, a2 = a1 * (1 + G), a2 * (1 + G)
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = np.where(C1 * C2 == 0, 0, (h2 - h1 + 180) % 360 - 180)
    L, C, h = (L1 + L2) / 2, (C1 + C2) / 2, (h1 + turn / 2) % 360
    SL = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * _hue_weight(h)
    RT = -np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2)))) * 2 * np.sqrt(C**7 / (C**7 + 25.0**7))
    lightness, chroma = (L2 - L1) / (k_L * SL), (C2 - C1) / SC
    hue = 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn) / 2) / SH
    distance: Floats = np.sqrt(lightness**2 + chroma**2 + hue**2 + RT * chroma * hue)
    return distance


def _hue_weight(h: Floats) -> Floats:
    """Their T."""
    weight = np.ones_like(h)
    for factor, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63)):
        weight += factor * np.cos(np.radians(times * h + shift))
    return weight
