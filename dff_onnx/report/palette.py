"""One colour for each concept, told apart by people of any colour vision.

The first eight are those of Okabe & Ito ("Color universal design", 2008), each moved by at most 45 steps of a channel
to lie farther apart, and black, which a darkened photograph hides, replaced by a bluish white. Any two of them differ
by a CIEDE2000 of at least 14, and the first four by 28, in normal vision and under protanopia, deuteranopia and
tritanopia (Machado et al. 2009, severity 1); from any grey an overlay's ground can have they differ by 11.
"""

from __future__ import annotations

import math
from functools import lru_cache

from dff_onnx.report.colour_space import linear_of, nearest_rgb

# The order keeps the first few as far apart as can be: most runs have few concepts.
SAFE = (
    (75, 218, 255),  # sky blue
    (191, 68, 31),  # vermilion
    (245, 244, 69),  # yellow
    (40, 103, 219),  # blue
    (242, 145, 5),  # orange
    (27, 153, 101),  # bluish green
    (186, 127, 183),  # reddish purple
    (240, 250, 255),  # white, in the place of black
)
GOLDEN = 0.6180339887498949  # of a turn: no hue comes back, and each new one falls into a wide gap
LIGHTNESS = (0.5, 0.72, 0.86)
CHROMA = 0.1
FIRST_HUE = 0.2


@lru_cache(maxsize=1024)
def colour(number: int) -> tuple[int, int, int]:
    """RGB of a concept's number.

    The first eight are safe for all kinds of colour vision. Beyond, hues go on in OKLCh; up to 24 concepts any two
    differ by a CIEDE2000 of at least 10 in normal vision, and other eyes need the legend's numbers.

    >>> colour(0)
    (75, 218, 255)
    """
    if number < len(SAFE):
        return SAFE[number]
    turn = number - len(SAFE)
    oklch = (LIGHTNESS[turn % 3], CHROMA, math.tau * (FIRST_HUE + turn * GOLDEN))
    red, green, blue = nearest_rgb(linear_of([oklch]))[0].tolist()
    return red, green, blue


def from_hexadecimal(text: str) -> tuple[int, int, int]:
    """The inverse of `hexadecimal`.

    >>> from_hexadecimal("#4bdaff")
    (75, 218, 255)
    """
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def hexadecimal(rgb: tuple[int, int, int]) -> str:
    """`#rrggbb`.

    >>> hexadecimal((75, 218, 255))
    '#4bdaff'
    """
    return "#{:02x}{:02x}{:02x}".format(*rgb)
