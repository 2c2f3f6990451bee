"""What a group of pictures shows, as a classifier sees it: the class that is first in most of them. The host's work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError


@dataclass(frozen=True, slots=True)
class Vote:
    """The class that a group of pictures voted for.

    Attributes:
        number: of the class.
        votes: pictures whose first class it is.
        pictures: that voted.
        probability: of the class, mean over all of them.
    """

    number: int
    votes: int
    pictures: int
    probability: float


def majority_class(probabilities: NDArray[np.float64]) -> Vote:
    """Every picture votes for its most probable class; the class with most votes is taken.

    Of equal numbers of votes the class of the higher mean probability is taken, of equal means the lower number. A
    picture with two classes equally probable votes for the lower number.

    Args:
        probabilities: `(pictures, classes)`, finite.

    Raises:
        ArrayError: when they are not of that shape, empty, or not finite.

    >>> majority_class(np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]]))
    Vote(number=1, votes=1, pictures=2, probability=0.65)
    """
    if probabilities.ndim != 2 or 0 in probabilities.shape or not np.isfinite(probabilities).all():
        raise ArrayError(
            f"vote: finite probabilities (pictures, classes) are needed, found {probabilities.dtype} "
            f"{probabilities.shape}"
        )
    pictures, classes = probabilities.shape
    votes = np.bincount(probabilities.argmax(axis=1), minlength=classes)
    means = probabilities.mean(axis=0)
    most = np.flatnonzero(votes == votes.max())
    number = int(most[means[most].argmax()])
    return Vote(number, int(votes[number]), pictures, float(means[number]))
