"""The errors of ILSVRC's classification and localization task, as its development kit counts them (`eval_clsloc.m`).

Boxes are half-open, so that the plain IoU is the kit's IoU of "+1 pixels"; see `box_iou`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics.overlap import box_iou
from dff_onnx.metrics.statistics import Interval, bootstrap_interval
from dff_onnx.records import Box

Guessed = tuple[str, Box | None]
LEAST_IOU = 0.5


def classification_error(guesses: Sequence[Guessed], labels: Collection[str], first: int) -> float:
    """The share of a picture's labels that none of its first guesses has; 0 or 1 where there is one label.

    Args:
        guesses: label and box of each, the surest first. Boxes do not matter.
        labels: that are true; one at least.
        first: how many guesses count.

    Raises:
        ArrayError: when there is no label.
        UsageError: when no guess would count.

    >>> classification_error([("cat", None), ("dog", None)], ["dog"], 1)
    1.0
    """
    _check(labels, first)
    said = {label for label, _ in guesses[:first]}
    return sum(label not in said for label in labels) / len(labels)


def localization_error(guesses: Sequence[Guessed], truths: Mapping[str, Sequence[Box]], first: int) -> float:
    """The share of a picture's labels that none of its first guesses has with a box that is right.

    A box is right where its IoU with at least one true box of its label is 0.5 or more: exactly one half is right here,
    and is not in CorLoc. A guess without a box is wrong, and so is every guess at a label without a true box.

    Args:
        guesses: label and box of each, the surest first.
        truths: the true boxes of each label.
        first: how many guesses count.

    Raises:
        ArrayError: when there is no label.
        UsageError: when no guess would count.

    >>> localization_error([("cat", Box(0, 0, 2, 1))], {"cat": [Box(0, 0, 4, 1)], "dog": [Box(0, 0, 9, 9)]}, 5)
    0.5
    """
    _check(truths, first)
    found = {label for label, box in guesses[:first] if box and _is_right(box, truths.get(label, ()))}
    return sum(label not in found for label in truths) / len(truths)


def _is_right(box: Box, truths: Sequence[Box]) -> bool:
    return any(box_iou(box, truth) >= LEAST_IOU for truth in truths)


def _check(labels: Collection[str], first: int) -> None:
    if not labels:
        raise ArrayError("a picture has no label, and there is no error without one")
    if first < 1:
        raise UsageError(f"one guess at least must count, found {first}")


@dataclass(frozen=True, slots=True)
class PictureErrors:
    """The errors of one picture, 0..1.

    Attributes:
        classification: with the guesses that count.
        localization: the same; None where the picture's boxes are blacklisted.
    """

    classification: float
    localization: float | None


def picture_errors(
    guesses: Sequence[Guessed], truths: Mapping[str, Sequence[Box]], first: int, blacklisted: bool = False
) -> PictureErrors:
    """Both errors of a picture. A blacklisted one counts in classification alone.

    >>> picture_errors([("cat", Box(0, 0, 2, 1))], {"cat": [Box(0, 0, 4, 1)]}, 1, blacklisted=True)
    PictureErrors(classification=0.0, localization=None)
    """
    localization = None if blacklisted else localization_error(guesses, truths, first)
    return PictureErrors(classification_error(guesses, tuple(truths), first), localization)


def mean_error(errors: Sequence[float | None], samples: int = 2000, seed: int = 0) -> Interval:
    """The mean over the pictures that count with its 95 % bootstrap interval; nan where none counts.

    The kit divides by the number of pictures minus that of the blacklist, which is the number of those that count.

    Args:
        errors: of each picture; None for one that does not count.
        samples, seed: as in `bootstrap_interval`.

    >>> mean_error([1.0, 0.0, None], samples=1).estimate
    0.5
    """
    there = [error for error in errors if error is not None]
    if not there:
        return Interval(math.nan, math.nan, math.nan)
    ones = [1.0] * len(there)
    return bootstrap_interval(there, ones, [0] * len(there), samples, seed=seed)
