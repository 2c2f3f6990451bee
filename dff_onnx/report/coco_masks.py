"""Masks as COCO writes them: run lengths down the columns, compressed to text (`maskApi.c` of pycocotools)."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, DatasetError

ZERO = 48  # the character of the digit 0; 32 digits of 5 bits, and as many with the sign of more to come
LONGEST = 7  # characters of a run: 35 bits
LARGEST = 2**28  # pixels of a mask: a short text can claim any number


class Rle(TypedDict):
    """A mask as an annotation in COCO's JSON.

    `size` is height and width; `counts` the compressed runs, off and on by turns, off first.
    """

    size: list[int]
    counts: str


def rle(mask: NDArray[np.bool_]) -> Rle:
    """The mask `(H, W)` in COCO's form, byte for byte as pycocotools encodes it.

    Raises:
        ArrayError: when the mask is not boolean or not a matrix.

    >>> rle(np.array([[False, True], [False, True]]))
    {'size': [2, 2], 'counts': '22'}
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ArrayError(f"the mask is {mask.dtype} {mask.shape}, and boolean (H, W) is needed")
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat[:1].any() else []  # a mask that begins with on has a run of no pixels before
    bounds = np.concatenate([[0], first, edges, [flat.size]]).astype(np.int64)
    counts = bounds[1:] - bounds[:-1]
    return {"size": [mask.shape[0], mask.shape[1]], "counts": _text(counts)}


def mask_of(coded: Rle) -> NDArray[np.bool_]:
    """The inverse of `rle`.

    Raises:
        DatasetError: when the runs are damaged, do not fill the size, or the mask has more than 2^28 pixels.

    >>> mask_of({"size": [2, 2], "counts": "22"}).tolist()
    [[False, True], [False, True]]
    """
    height, width = coded["size"]
    counts = counts_of(coded["counts"])
    if min(height, width) < 0 or height * width > LARGEST:
        raise DatasetError(f"a mask of {height} x {width} pixels cannot be made; at most {LARGEST} pixels can")
    if (counts < 0).any() or sum(counts.tolist()) != height * width:
        raise DatasetError(f"the runs of a mask do not fill its {height} x {width} pixels")
    return np.repeat(np.arange(counts.size) % 2 == 1, counts).reshape(width, height).T


def counts_of(text: str) -> NDArray[np.int64]:
    """The run lengths in a compressed text.

    Raises:
        DatasetError: when a character or a run is none of the format's, or the text ends inside a run.

    >>> counts_of("22").tolist()
    [2, 2]
    """
    digits = np.array([ord(character) for character in text], np.int64) - ZERO
    last = (digits & 32) == 0
    if not digits.size or digits.min() < 0 or digits.max() > 63 or not last[-1]:
        raise DatasetError(f"the runs of a mask cannot be read: {text[:40]!r} is damaged")
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(digits.size) - np.repeat(starts, np.diff([*starts, digits.size]))
    if place.max() >= LONGEST:
        raise DatasetError(f"the runs of a mask cannot be read: one has more than {LONGEST} characters")
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    negative = (digits[last] & 16) != 0
    values -= negative * (np.int64(1) << (5 * (place[last] + 1)))
    for column in (values[1::2], values[2::2]):  # from the fourth on, a run is the change since the one before last
        np.cumsum(column, out=column)
    return values


def _text(counts: NDArray[np.int64]) -> str:
    """Each count in digits of five bits, lowest first, the last one with its sign in bit 4."""
    left = counts.copy()
    left[3:] -= counts[1:-2]
    digits, used = np.zeros((counts.size, LONGEST), np.uint8), np.zeros((counts.size, LONGEST), np.bool_)
    going = np.ones(counts.size, np.bool_)
    for place in range(LONGEST):
        digit = left & 31
        left >>= 5
        more = going & np.where(digit & 16, left != -1, left != 0)
        digits[:, place], used[:, place] = digit + 32 * more + ZERO, going
        going = more
    return digits[used].tobytes().decode("ascii")
