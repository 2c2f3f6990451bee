"""Which concepts of two factorizations are the same: matched one to one by their directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.floating]

# The cosine from which two concepts count as the same. Of the pairs of two halves of one iCoseg group that reach it, at
# least 98 % have masks with an IoU above 0.5; of the pairs of unrelated groups 2 to 7 % reach it (docs/bank.md).
LIKE = 0.75


@dataclass(frozen=True, slots=True)
class Match:
    """Two concepts that belong together.

    Attributes:
        ours, theirs: their numbers.
        cosine: of their directions, 0..1; 0 where one of them is used by nothing.
    """

    ours: int
    theirs: int
    cosine: float


def match(ours: Floats, theirs: Floats) -> tuple[Match, ...]:
    """Matches concepts one to one so that the sum of their cosines is as large as can be (Kuhn 1955; SciPy's solver).

    Args:
        ours, theirs: `(k, c)` and `(m, c)`, rows of any length.

    Returns:
        as many pairs as the smaller side has concepts, by our numbers.

    >>> import numpy as np
    >>> [(one.ours, one.theirs) for one in match(np.eye(3), np.eye(3)[[2, 0]])]
    [(0, 1), (2, 0)]
    """
    found = cosines(ours, theirs)
    return _assigned(found, found)


def alike(ours: Floats, theirs: Floats, least: float = LIKE) -> tuple[Match, ...]:
    """Matches concepts one to one, as `match`; a pair of a lower cosine than `least` is none, and counts for nothing.

    Args:
        ours, theirs: `(k, c)` and `(m, c)`, rows of any length.
        least: above 0.

    Returns:
        the pairs, by our numbers.

    >>> import numpy as np
    >>> [(one.ours, one.theirs) for one in alike(np.eye(3), np.eye(3)[[2, 0]] + 0.1)]
    [(0, 1), (2, 0)]
    """
    found = cosines(ours, theirs)
    pairs = _assigned(np.where(found >= least, found, 0.0), found)
    return tuple(pair for pair in pairs if pair.cosine >= least)


def agreement(ours: Floats, theirs: Floats) -> float:
    """Mean cosine of matched concepts, 0..1.

    >>> import numpy as np
    >>> agreement(np.eye(2), np.eye(2)[::-1])
    1.0
    """
    return mean_cosine(match(ours, theirs))


def mean_cosine(matches: Sequence[Match]) -> float:
    """Of pairs that were matched."""
    return float(np.mean([one.cosine for one in matches]))


def unit_rows(W: Floats) -> NDArray[np.float64]:
    """Rows brought to unit length, in float64; rows of zeros stay."""
    exact = np.asarray(W, np.float64)
    lengths: NDArray[np.float64] = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(lengths > 0, lengths, 1.0)


def cosines(ours: Floats, theirs: Floats) -> NDArray[np.float64]:
    """Of all pairs of rows, `(k, m)`, at most 1 (rounding goes beyond); 0 where one of them is zero.

    >>> import numpy as np
    >>> cosines(np.eye(2), np.array([[0.0, 5.0]])).tolist()
    [[0.0], [1.0]]
    """
    found: NDArray[np.float64] = np.minimum(unit_rows(ours) @ unit_rows(theirs).T, 1.0)
    return found


def _assigned(gains: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[Match, ...]:
    """The pairs of the largest sum of gains, with the cosines that were found."""
    pairs = zip(*linear_sum_assignment(-gains), strict=True)
    return tuple(Match(int(i), int(j), float(found[i, j])) for i, j in pairs)
