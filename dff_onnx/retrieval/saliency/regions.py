"""Where components of a mixture are, as windows of cells, and how salient these are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double
from dff_onnx.errors import UsageError
from dff_onnx.retrieval.rmac import Window
from dff_onnx.retrieval.saliency.gaussian_mixture import EXPANSION, OVERLAP, Mixture, expanding_mixture
from dff_onnx.retrieval.saliency.maxima import checked_map

REACH = 2.0  # standard deviations


@dataclass(frozen=True, slots=True)
class SalientRegions:
    """Windows of a map, by falling weight of their components; no two alike.

    Attributes:
        windows: in cells; `retrieval.region_vectors` makes vectors of them.
        scores: the mean of the map inside each, in shares of its peak, 0..1.
    """

    windows: tuple[Window, ...]
    scores: tuple[float, ...]


def salient_regions(F: Array, expansion: float = EXPANSION, overlap: float = OVERLAP) -> SalientRegions:
    """The regions of a map that an expanding mixture finds.

    Args:
        F: `(h, w)` map, `>= 0`.
        expansion, overlap: as `expanding_mixture` takes them.

    Returns:
        none for a map of zeros.

    Raises:
        ArrayError, UsageError: as `expanding_mixture`.

    >>> import numpy as np
    >>> salient_regions(np.array([[4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]))
    SalientRegions(windows=(Window(y=0, x=0, height=1, width=2),), scores=(0.5,))
    """
    F = checked_map(F)
    height, width = F.shape
    windows = mixture_windows(expanding_mixture(F, expansion, overlap), height, width)
    return SalientRegions(windows, window_scores(F, windows))


def mixture_windows(mixture: Mixture, height: int, width: int, reach: float = REACH) -> tuple[Window, ...]:
    """The cells whose middles are within two standard deviations of a component's mean, along either axis.

    Args:
        mixture: any number of components, their means inside the map.
        height, width: of the map.
        reach: in standard deviations, `>= 0`.

    Returns:
        a window for each component, but equal ones once; each has at least the cell nearest to the mean.

    Raises:
        UsageError: for a negative reach, or a map without cells.

    >>> import numpy as np
    >>> mixture_windows(Mixture(np.array([[1.0, 2.4]]), np.array([0.25]), np.ones(1)), 3, 9)
    (Window(y=0, x=2, height=3, width=2),)
    """
    if min(height, width) < 1 or not reach >= 0:
        raise UsageError(
            f"windows: a map with cells and a reach of 0 or more are needed, found {height}, {width}, {reach}"
        )
    found = []
    for k in range(mixture.weights.shape[0]):
        far = reach * math.sqrt(float(mixture.variances[k]))
        (top, down), (left, across) = (
            _cells(float(mixture.means[k, axis]), far, side) for axis, side in enumerate((height, width))
        )
        found.append(Window(top, left, down, across))
    return tuple(dict.fromkeys(found))


def window_scores(F: Array, windows: tuple[Window, ...]) -> tuple[float, ...]:
    """The mean of a map inside each window, in shares of its peak, 0..1; zeros for a map of zeros.

    >>> import numpy as np
    >>> window_scores(np.array([[4.0, 1.0, 0.0]]), (Window(0, 0, 1, 2),))
    (0.625,)
    """
    xp = namespace_of(F)
    F = double(F)
    peak = float(xp.max(F)) or 1.0
    return tuple(float(xp.mean(F[w.y : w.y + w.height, w.x : w.x + w.width])) / peak for w in windows)


def _cells(middle: float, far: float, side: int) -> tuple[int, int]:
    """The first cell, and how many: those between, or the nearest one."""
    first, last = max(0, math.ceil(middle - far)), min(side - 1, math.floor(middle + far))
    if last < first:
        first = last = min(side - 1, max(0, round(middle)))
    return first, last - first + 1
