"""How far apart two colours are, and what is left of that with a colour vision deficiency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0; for linear sRGB.
DEFICIENCIES = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# IEC 61966-2-1; the white point D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def seen_with(rgb: ArrayLike, vision: str) -> Floats:
    """CIELAB of sRGB colours `(n, 3)` 0..255 as somebody sees them; `normal` changes nothing."""
    share = np.asarray(rgb, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    if vision != "normal":
        linear = np.clip(linear @ np.array(DEFICIENCIES[vision]).T, 0, 1)
    xyz = linear @ TO_XYZ.T / WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def ciede2000(one: ArrayLike, other: ArrayLike) -> Floats:
    """CIEDE2000 of CIELAB colours (Sharma, Wu & Dalal 2005, the letters are theirs)."""
    (L1, a1, b1), (L2, a2, b2) = (
        np.moveaxis(np.asarray(one, float), -1, 0),
        np.moveaxis(np.asarray(other, float), -1, 0),
    )
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    G = 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25.0**7)))
    a1, a2 = a1 * (1 + G), a2 * (1 + G)
    C1, C2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = C1 * C2 == 0
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    dH = 2 * np.sqrt(C1 * C2) * np.sin(np.radians(turn) / 2)
    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    h = np.where(grey, h1 + h2, (h1 + turn / 2) % 360)
    T = sum(
        f * np.cos(np.radians(n * h + shift))
        for f, n, shift in ((1, 0, 0), (-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    SL = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    SC, SH = 1 + 0.045 * C, 1 + 0.015 * C * T
    RC = 2 * np.sqrt(C**7 / (C**7 + 25.0**7))
    RT = -np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2)))) * RC
    lightness, chroma, hue = (L2 - L1) / SL, (C2 - C1) / SC, dH / SH
    distance: Floats = np.sqrt(lightness**2 + chroma**2 + hue**2 + RT * chroma * hue)
    return distance


def distances(rgb: ArrayLike, vision: str) -> Floats:
    """All pairwise distances of colours `(n, 3)`, the diagonal infinite."""
    lab = seen_with(rgb, vision)
    matrix = ciede2000(lab[:, None], lab[None, :])
    np.fill_diagonal(matrix, np.inf)
    return matrix
