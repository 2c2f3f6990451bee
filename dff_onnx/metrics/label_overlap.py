"""Which named regions of pictures a mask falls on: counts of pixels, and ranks over a set. The host's work.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016), section
4.3: the objects "that most frequently overlap" with the high activation of a scene's class map. How much of an overlap
counts is not said there; it is an argument here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError

NUMBERS = 256  # that a label can have; 0 is no label


@dataclass(frozen=True, slots=True, eq=False)
class LabelCounts:
    """Pixels of one picture.

    Attributes:
        labels: `(256,)` int64, of each label; those of number 0 have none.
        on: `(256,)` int64, those of them where the mask is on.
    """

    labels: NDArray[np.int64]
    on: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelRank:
    """One label over a set of pictures.

    Attributes:
        label: its number.
        pictures: in which its region is among the high activation.
        present: in which it has a pixel.
        frequency: `pictures` as a share of all pictures.
        when_present: `pictures` as a share of `present`.
        covered: the share of the high activation that it covers, on average over pictures.
        chance: the share of all pixels that it covers, on average over the same pictures: what a mask that lies
            anywhere would be covered by.
    """

    label: int
    pictures: int
    present: int
    frequency: float
    when_present: float
    covered: float
    chance: float


def label_counts(labels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> LabelCounts:
    """Counts one picture.

    Args:
        labels: `(H, W)` uint8, 0 where nothing is labelled.
        mask: `(H, W)` bool, the high activation.

    Raises:
        ArrayError: when these are not of one shape.

    >>> counts = label_counts(np.array([[0, 1, 1]], np.uint8), np.array([[True, True, False]]))
    >>> int(counts.labels[1]), int(counts.on[1])
    (2, 1)
    """
    if labels.ndim != 2 or labels.shape != mask.shape or labels.dtype != np.uint8 or mask.dtype != np.bool_:
        raise ArrayError(f"labels (H, W) uint8 and a mask (H, W) bool are needed, found {labels.shape}, {mask.shape}")
    return LabelCounts(
        np.bincount(labels.ravel(), minlength=NUMBERS).astype(np.int64),
        np.bincount(labels[mask], minlength=NUMBERS).astype(np.int64),
    )


def rank_labels(counts: Sequence[LabelCounts], least: float = 0.5) -> list[LabelRank]:
    """Ranks labels by the number of pictures in which their regions are among the high activation.

    In a picture a label's region is among the high activation where more than a share `least` of its own pixels are
    on. With 0 one pixel is enough; large regions (walls, floors) then lead every list.

    Args:
        counts: one for each picture.
        least: from 0 up to, not including, 1.

    Returns:
        ranks of the labels that any picture has, the best first; of equal frequencies the one that covers more of the
        high activation beyond chance first, then the lower number. Averages are over the pictures whose mask is not
        empty.

    Raises:
        UsageError: when `least` cannot be.
        ArrayError: when there are no pictures.

    >>> labels = np.array([[1, 1, 2, 2]], np.uint8)
    >>> [rank.label for rank in rank_labels([label_counts(labels, labels == 2)])]
    [2, 1]
    """
    if not 0 <= least < 1:
        raise UsageError(f"overlap: a share from 0 to below 1 is needed, found {least}")
    if not counts:
        raise ArrayError("ranks of labels: at least one picture is needed")
    labels, on = (np.stack([getattr(one, name) for one in counts]) for name in ("labels", "on"))
    within = on > least * labels
    lit = on.sum(axis=1) > 0
    chance = _mean_shares(labels[lit])
    covered = _mean_shares(on[lit])
    present = np.count_nonzero(labels, axis=0)
    hits = np.count_nonzero(within, axis=0)
    ranks = [
        LabelRank(
            label=number,
            pictures=int(hits[number]),
            present=int(present[number]),
            frequency=float(hits[number] / len(counts)),
            when_present=float(hits[number] / present[number]),
            covered=float(covered[number]),
            chance=float(chance[number]),
        )
        for number in range(1, NUMBERS)
        if present[number]
    ]
    return sorted(ranks, key=lambda rank: (-rank.pictures, rank.chance - rank.covered, rank.label))


def _mean_shares(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean over pictures of each label's share of their pixels; 0 where there is no picture."""
    if not len(pixels):
        return np.zeros(NUMBERS)
    shares: NDArray[np.float64] = (pixels / pixels.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares
