"""Average precision of a ranking as the retrieval benchmarks count it, and precision among its first places.

Oxford's `compute_ap`, and after it Paris, Holidays, INSTRE and the revisited sets, take the area under the curve of
precision over recall by trapezoids. Rectangles, as elsewhere, give more or less: positives at the ranks 0, 2 and 5 have
0.678 here and 0.722 there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics.statistics import Interval, bootstrap_interval

Indexes = NDArray[np.int64]


def ranking_of(scores: ArrayLike) -> Indexes:
    """Images from the best score to the worst; of equal scores the image of the lower index comes first.

    Args:
        scores: `(n,)`, higher is better; may be infinite.

    Returns:
        `(n,)` indexes of images.

    Raises:
        ArrayError: when these are no row of numbers, or one is nan.

    >>> ranking_of([0.5, 0.9, 0.5]).tolist()
    [1, 0, 2]
    """
    try:
        row = np.asarray(scores, np.float64)
    except (TypeError, ValueError) as error:
        raise ArrayError(f"scores are no numbers ({str(error)[:80]})") from error
    if row.ndim != 1 or np.isnan(row).any():
        found = f"have the shape {row.shape}" if row.ndim != 1 else "hold nan"
        raise ArrayError(f"scores {found}, and one number for each image is needed")
    return np.argsort(-row, kind="stable").astype(np.int64, copy=False)


def positive_ranks(ranking: ArrayLike, positives: ArrayLike, junk: ArrayLike = ()) -> Indexes:
    """At which ranks the positives are once all junk is taken out of the ranking.

    Args:
        ranking: `(m,)` indexes of images, the best first, none twice; it may end early.
        positives: indexes of the images to be found.
        junk: indexes of those that count neither for nor against: looked over as if they were not there.

    Returns:
        ranks from 0, ascending; fewer than positives where the ranking does not have them all.

    Raises:
        ArrayError: when one of these is no list of indexes, holds one twice, or an image is both positive and junk.

    >>> positive_ranks([7, 3, 9, 4], positives=[9, 7, 1], junk=[3]).tolist()
    [0, 1]
    """
    listed = [_indexes(*named) for named in (("ranking", ranking), ("positives", positives), ("junk", junk))]
    order, good, ignored = listed
    if both := set(good.tolist()) & set(ignored.tolist()):
        raise ArrayError(f"image {min(both)} is both positive and junk; it can be one")
    kept = order[~np.isin(order, ignored)]
    return np.flatnonzero(np.isin(kept, good)).astype(np.int64, copy=False)


def average_precision(ranks: ArrayLike, positives: int) -> float:
    """Area under precision over recall by trapezoids (Philbin et al., CVPR 2007, `compute_ap`).

    Each positive adds `(p0 + p1) / (2 * positives)`: `p1` is the precision at its rank, `p0` that just before it, which
    is 1 at rank 0. A positive that was never retrieved adds nothing.

    Args:
        ranks: of the positives, from 0, ascending, junk taken out: what `positive_ranks` gives.
        positives: how many there are, retrieved or not.

    Returns:
        0..1, in float64 (the original computes in float32); nan where there is no positive.

    Raises:
        ArrayError: when the ranks do not ascend from 0 or more, or are more than the positives.

    >>> round(average_precision([0, 2, 5], 3), 6), average_precision([1], 1), average_precision([0], 2)
    (0.677778, 0.25, 0.5)
    """
    at = _checked_ranks(ranks, positives)
    if not positives:
        return math.nan
    found = np.arange(len(at), dtype=np.float64)  # positives before each
    before = np.ones(len(at))
    np.divide(found, at, out=before, where=at > 0)
    return math.fsum((before + (found + 1) / (at + 1)).tolist()) / (2 * positives)


def precision_at(ranks: ArrayLike, positives: int, first: int) -> float:
    """The share of positives among the first places (Radenovic et al., CVPR 2018: mP@k).

    No more places are looked at than are needed to find the last positive: `min(first, its rank + 1)`. Where some
    positive was never retrieved its rank is beyond all, and `first` places count.

    Args:
        ranks, positives: as in `average_precision`.
        first: k, how many places.

    Returns:
        0..1; nan where there is no positive.

    Raises:
        ArrayError: as `average_precision`.
        UsageError: when no place would count.

    >>> precision_at([0, 1], 2, 10), precision_at([0, 9], 2, 5)
    (1.0, 0.2)
    """
    if first < 1:
        raise UsageError(f"one place at least must count, found {first}")
    at = _checked_ranks(ranks, positives)
    if not positives:
        return math.nan
    places = min(first, int(at[-1]) + 1) if len(at) == positives else first
    return int(np.count_nonzero(at < places)) / places


def mean_over_queries(
    figures: Sequence[float | None], samples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The mean over the queries that count with its bootstrap interval (queries drawn with replacement).

    Args:
        figures: of each query; None or nan for one without positives, which does not count.
        samples, level, seed: as in `bootstrap_interval`.

    Returns:
        nan where none counts.

    >>> mean_over_queries([1.0, 0.5, None], samples=1).estimate
    0.75
    """
    there = [figure for figure in figures if figure is not None and not math.isnan(figure)]
    if not there:
        return Interval(math.nan, math.nan, math.nan)
    return bootstrap_interval(there, [1.0] * len(there), [0] * len(there), samples, level, seed)


def _checked_ranks(ranks: ArrayLike, positives: int) -> Indexes:
    at = _indexes("ranks", ranks)
    if (np.diff(at) < 0).any():
        raise ArrayError("ranks do not ascend; sort them")
    if len(at) > positives:
        raise ArrayError(f"{len(at)} ranks are given of {positives} positives; there cannot be more")
    return at


def _indexes(what: str, values: ArrayLike) -> Indexes:
    """Whole numbers from 0, no two alike."""
    array = np.asarray(values)
    if array.ndim == 1 and not array.size:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ArrayError(f"{what}: whole numbers are needed, found {array.dtype} of the shape {array.shape}")
    if array.min() < 0:
        raise ArrayError(f"{what}: holds {array.min()}, and numbers count from 0")
    array = array.astype(np.int64)
    if len(np.unique(array)) != len(array):
        raise ArrayError(f"{what}: holds a number twice")
    return array
