"""One colour for each concept, told apart by people of any colour vision."""

from __future__ import annotations

import colorsys

# Okabe & Ito (2008), without black and with their order changed so that neighbours differ in lightness as well.
OKABE_ITO = (
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
    (240, 228, 66),  # yellow
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (86, 180, 233),  # sky blue
    (213, 94, 0),  # vermilion
)
GOLDEN = 0.6180339887498949


def colour(number: int) -> tuple[int, int, int]:
    """RGB of a concept's number. The first seven are safe for all kinds of colour vision; beyond, hues go on.

    >>> colour(0)
    (230, 159, 0)
    """
    if number < len(OKABE_ITO):
        return OKABE_ITO[number]
    turn = number - len(OKABE_ITO)
    lightness = (0.45, 0.7, 0.3)[turn % 3]
    red, green, blue = colorsys.hls_to_rgb((0.83 + turn * GOLDEN) % 1, lightness, 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


def from_hexadecimal(text: str) -> tuple[int, int, int]:
    """The inverse of `hexadecimal`.

    >>> from_hexadecimal("#e69f00")
    (230, 159, 0)
    """
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def hexadecimal(rgb: tuple[int, int, int]) -> str:
    """`#rrggbb`.

    >>> hexadecimal((230, 159, 0))
    '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*rgb)
