"""Which concept is which part: coverage, the parts it assigns, and IoU with their union (DFF, eq. 7-9).

The counts of an image are a record; records of several images add up, and ratios are taken last. The union of a
concept's parts is known only after all images were seen, so it takes a second pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics.overlap import Counts, check_masks, mask_counts

Masks = NDArray[np.bool_]
Assignment = tuple[tuple[int, ...], ...]  # the parts of each concept


@dataclass(frozen=True, slots=True, eq=False)
class PartCounts:
    """Pixels of concepts, of parts and of what they share, over any number of images.

    Attributes:
        inter: `(k, p)` int64, pixels in concept and part.
        concepts: `(k,)` int64, pixels of each concept's masks.
        parts: `(p,)` int64, pixels of each part.
    """

    inter: NDArray[np.int64]
    concepts: NDArray[np.int64]
    parts: NDArray[np.int64]

    def __add__(self, other: PartCounts) -> PartCounts:
        if self.inter.shape != other.inter.shape:
            raise ArrayError(
                f"counts of {self.inter.shape} and of {other.inter.shape} concepts and parts do not add up"
            )
        return PartCounts(self.inter + other.inter, self.concepts + other.concepts, self.parts + other.parts)


@dataclass(frozen=True, slots=True)
class Agreement:
    """IoU of concepts with the parts they were given.

    Attributes:
        dataset_wide: for each concept, summed over images and divided once (eq. 9); None for one without a part, nan
            where neither it nor its parts have a pixel.
        per_image: for each concept, the mean of its images' IoU; images where the union is empty are left out.
        mean, mean_per_image: over the concepts that have a figure; nan where there is none.
        unassigned: how many concepts have no part.
    """

    dataset_wide: tuple[float | None, ...]
    per_image: tuple[float | None, ...]
    mean: float
    mean_per_image: float
    unassigned: int


def part_counts(masks: Masks, parts: Masks, void: Masks | None = None) -> PartCounts:
    """The counts of one image.

    Args:
        masks: `(k, H, W)` bool, a mask for each concept.
        parts: `(p, H, W)` bool; parts may overlap, and a part that is not in the image is all False.
        void: `(H, W)` bool, pixels that are in no count.

    Raises:
        ArrayError: when these are not boolean, or not of one height and width.

    >>> part_counts(np.array([[[True, True, False]]]), np.array([[[True, False, False]], [[False, True, True]]])).inter
    array([[1, 1]])
    """
    _check(masks, parts, void)
    concept_bits, part_bits = _bits(masks, void), _bits(parts, void)
    inter = [_ones(concept & part_bits) for concept in concept_bits]
    return PartCounts(
        np.reshape(inter, (len(masks), len(parts))).astype(np.int64), _ones(concept_bits), _ones(part_bits)
    )


def coverage(counts: PartCounts) -> NDArray[np.float64]:
    """`Cov[f, p]`, the share of part p that concept f covers (eq. 7), `(k, p)`; nan for a part of no pixels."""
    return _ratio(counts.inter, np.broadcast_to(counts.parts, counts.inter.shape))


def assigned(counts: PartCounts, threshold: float = 0.5) -> Assignment:
    """The parts of each concept: those of which it covers more than `threshold` (strictly).

    A part can belong to several concepts, and a concept can have none.
    """
    covered = counts.inter > threshold * counts.parts
    return tuple(tuple(np.flatnonzero(row).tolist()) for row in covered)


def labelled(labels: Mapping[int, Sequence[str]], parts: Sequence[str], k: int) -> Assignment:
    """The parts of each concept as a person named them (DFF, section 4.5).

    Args:
        labels: names of parts for a concept's number; concepts that are missing have none.
        parts: the names, in the order of the part masks.
        k: number of concepts.

    Raises:
        UsageError: for a concept or a part that is not there.

    >>> labelled({1: ["arms", "legs"]}, ["head", "legs", "arms"], k=2)
    ((), (1, 2))
    """
    for number, names in labels.items():
        if not 0 <= number < k:
            raise UsageError(f"labels: there is no concept {number}; the numbers go from 0 to {k - 1}")
        if missing := [name for name in names if name not in parts]:
            raise UsageError(f"labels: concept {number} has no part {missing[0]!r}; the parts are {', '.join(parts)}")
    return tuple(tuple(sorted({parts.index(name) for name in labels.get(f, ())})) for f in range(k))


def union_counts(
    masks: Masks, parts: Masks, assignment: Assignment, void: Masks | None = None
) -> tuple[Counts | None, ...]:
    """The second pass, one image: each concept against the union of its parts (eq. 8); None for one without a part.

    Args:
        masks, parts, void: as in `part_counts`.
        assignment: from `assigned`, or `labelled` where a person gave the parts.

    Raises:
        ArrayError: when these do not belong together.
    """
    _check(masks, parts, void)
    if len(assignment) != len(masks):
        raise ArrayError(f"{len(assignment)} concepts have parts, and there are masks of {len(masks)}")
    if any(not 0 <= part < len(parts) for mine in assignment for part in mine):
        raise ArrayError(f"the parts {assignment} are assigned, and there are masks of {len(parts)}")
    return tuple(
        mask_counts(mask, np.logical_or.reduce(parts[list(mine)]), void) if mine else None
        for mask, mine in zip(masks, assignment, strict=True)
    )


def agreement(images: Sequence[Sequence[Counts | None]]) -> Agreement:
    """IoU over a set, dataset-wide and averaged over images.

    Args:
        images: what `union_counts` gave for each image, all under one assignment.

    Raises:
        ArrayError: when there is no image, or images differ in their concepts.

    >>> agreement([[Counts(1, 1), None], [Counts(0, 3), None]])
    Agreement(dataset_wide=(0.25, None), per_image=(0.5, None), mean=0.25, mean_per_image=0.5, unassigned=1)
    """
    if not images or len({tuple(one is None for one in image) for image in images}) > 1:
        raise ArrayError("counts of at least one image are needed, and of the same concepts in each")
    columns = [[counts for counts in column if counts is not None] for column in zip(*images, strict=True)]
    wide = tuple(sum(column, Counts(0, 0)).iou if column else None for column in columns)
    single = tuple(_mean([counts.iou for counts in column]) if column else None for column in columns)
    return Agreement(wide, single, _mean(wide), _mean(single), wide.count(None))


def single_part_iou(counts: PartCounts) -> NDArray[np.float64]:
    """Dataset-wide IoU of each concept with each part, `(k, p)`, 0..1; nan where neither has a pixel."""
    return _ratio(counts.inter, counts.concepts[:, None] + counts.parts - counts.inter)


def best_part_iou(counts: PartCounts, background: int | None = None) -> float:
    """The quality of a factorization (DFF, fig. 4): the IoU of each concept's best part, averaged over concepts.

    Args:
        counts: over the set.
        background: number of the part that is the background, which no concept is asked to find.

    Returns:
        0..1; nan where nothing can be compared. A concept that is nowhere counts as 0.
    """
    iou = single_part_iou(counts)
    if background is not None:
        iou = np.delete(iou, background, axis=1)
    best = np.where(np.isnan(iou), -1.0, iou).max(axis=1, initial=-1.0)
    return _mean([value for value in best.tolist() if value >= 0])


def _check(masks: Masks, parts: Masks, void: Masks | None) -> None:
    if masks.ndim != 3 or parts.ndim != 3:
        raise ArrayError(f"masks {masks.shape} and parts {parts.shape} are given, and (number, H, W) is needed of both")
    size = masks.shape[1:]
    check_masks((len(masks), *size), masks=masks)
    check_masks((len(parts), *size), parts=parts)
    check_masks(size, void=void)


def _bits(masks: Masks, void: Masks | None) -> NDArray[np.uint8]:
    """Masks `(m, H, W)` as rows of bits: eight pixels are met at once."""
    kept = masks if void is None else masks & ~void
    return np.packbits(kept.reshape(len(masks), math.prod(masks.shape[1:])), axis=1)


def _ones(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    ones: NDArray[np.int64] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return ones


def _ratio(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.float64]:
    """Quotients; nan where 0 is divided by 0."""
    quotients = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotients, where=below > 0)
    return quotients


def _mean(figures: Sequence[float | None]) -> float:
    """Of the figures that are there."""
    there = [figure for figure in figures if figure is not None and not math.isnan(figure)]
    return math.fsum(there) / len(there) if there else math.nan
