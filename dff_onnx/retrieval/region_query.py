"""Queries of several parts: pictures that have this and that, but not those.

A picture has a part as far as its best region does. It has all wanted parts as far as it has the least of them (the
minimum, Zadeh's "and", 1965): in a sum, one part found exactly would make up for another that is missing. Of the
unwanted parts, the one it has most of is subtracted (the maximum is the "or" that belongs to this "and").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like, row_blocks
from dff_onnx.errors import ArrayError

PICTURES = 8192  # at a time


def best_regions(similarities: Array, offsets: Sequence[int]) -> Array:
    """How far each picture has each part: the best of its regions, as regional search has it.

    Args:
        similarities: `(parts, regions)` of the parts that are asked for and all regions of a database.
        offsets: where each picture's regions begin, and where the last one's end.

    Returns:
        `(parts, pictures)`; minus infinity for a picture without regions.

    Raises:
        ArrayError: for offsets that do not rise from 0 to the number of regions.

    >>> best_regions(np.array([[0.1, 0.7, 0.3]]), [0, 2, 3]).tolist()
    [[0.7, 0.3]]
    """
    bounds = _checked(similarities, offsets)
    xp = namespace_of(similarities)
    least = like(np.full((similarities.shape[0], 1), -np.inf), similarities)
    # One more region than there are, for pictures that have none.
    padded = xp.concat([similarities, least], axis=1)
    made = [_best(padded, bounds[:-1][block], bounds[1:][block]) for block in row_blocks(len(bounds) - 1, PICTURES)]
    return xp.concat(made, axis=1)


def combined(wanted: Array, unwanted: Array | None = None) -> Array:
    """One score a picture: the least of what is wanted, less the most of what is not.

    Args:
        wanted: `(parts, pictures)`, at least one part, as `best_regions` gives them.
        unwanted: the same of parts that must not be there; a negative similarity counts as 0.

    Returns:
        `(pictures,)`; a picture without regions has minus infinity.

    Raises:
        ArrayError: when no part is wanted, or the pictures are not the same.

    >>> combined(np.array([[0.9, 0.8], [0.2, 0.7]]), np.array([[0.0, 0.5]])).round(2).tolist()
    [0.2, 0.2]
    """
    if wanted.ndim != 2 or not wanted.shape[0]:
        raise ArrayError(f"at least one wanted part is needed, (parts, pictures); found {tuple(wanted.shape)}")
    xp = namespace_of(wanted)
    score = xp.min(wanted, axis=0)
    if unwanted is None or not unwanted.shape[0]:
        return score
    if tuple(unwanted.shape[1:]) != tuple(wanted.shape[1:]):
        raise ArrayError(f"parts of {wanted.shape[1:]} pictures are wanted, and of {unwanted.shape[1:]} unwanted")
    return score - xp.clip(xp.max(unwanted, axis=0), 0, None)


def _best(padded: Array, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Array:
    """The maxima `(parts, pictures)` of columns from `starts` to `ends`; of the last column where there is none."""
    xp = namespace_of(padded)
    most = max(1, int((ends - starts).max()))
    # A picture with fewer regions than the most has its last one several times.
    places = np.minimum(starts[:, None] + np.arange(most), ends[:, None] - 1)
    places[ends == starts] = padded.shape[1] - 1
    chosen = xp.take(padded, like(places.reshape(-1), padded, xp.int64), axis=1)
    return xp.max(xp.reshape(chosen, (padded.shape[0], len(starts), most)), axis=2)


def _checked(similarities: Array, offsets: Sequence[int]) -> NDArray[np.int64]:
    bounds = np.asarray(offsets, np.int64)
    if similarities.ndim != 2 or bounds.ndim != 1 or len(bounds) < 2:
        raise ArrayError(
            f"similarities (parts, regions) and offsets of pictures are needed, found {tuple(similarities.shape)} and "
            f"{bounds.shape}"
        )
    if bounds[0] != 0 or bounds[-1] != similarities.shape[1] or (np.diff(bounds) < 0).any():
        raise ArrayError(f"offsets must rise from 0 to {similarities.shape[1]} regions")
    return bounds
