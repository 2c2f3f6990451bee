"""From regions to images: generalized max pooling of what a graph gave them, and matching them one by one.

Murray, Perronnin: "Generalized max pooling" (CVPR 2014), as Iscen et al. (CVPR 2017) use it for diffusion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import double
from dff_onnx.errors import ArrayError, UsageError

RIDGE = 1.0

Doubles = NDArray[np.float64]


def pooling_weights(vectors: NDArray[np.floating], owners: NDArray[np.integer], ridge: float = RIDGE) -> Doubles:
    """What each region counts in its image: `(V V^T + ridge I)^-1 1`, so that what an image shows often counts once.

    Args:
        vectors: `(n, c)` of regions, unit length, those of one image side by side.
        owners: `(n,)` the image of each, not falling.
        ridge: added to the diagonal.

    Returns:
        `(n,)` float64.

    Raises:
        ArrayError: for owners that fall, or another number of them.
        UsageError: for a ridge that is not positive.

    >>> pooling_weights(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 0, 1])).round(4).tolist()
    [0.3333, 0.3333, 0.5]
    """
    if not ridge > 0:
        raise UsageError(f"ridge: above 0 is needed, found {ridge}")
    weights = np.empty(len(vectors))
    for start, stop in spans(owners, len(vectors)):
        V = vectors[start:stop].astype(np.float64)
        weights[start:stop] = np.linalg.solve(V @ V.T + ridge * np.eye(stop - start), np.ones(stop - start))
    return weights


def pooled_scores(scores: Array, weights: Array, owners: NDArray[np.integer], images: int) -> Array:
    """The score of each image: the weighted sum of its regions'.

    Args:
        scores: `(n,)` of regions.
        weights: `(n,)`, see `pooling_weights`.
        owners: `(n,)` the image of each.
        images: how many there are; one without regions has 0.
    """
    xp = namespace_of(scores)
    return xp.bincount(xp.asarray(owners), weights=scores * weights, minlength=images)


def region_matches(
    queries: Array, vectors: Array, owners: NDArray[np.integer], images: int, best: bool = False
) -> Array:
    """Each image's score by its regions: the mean, over parts of the query, of the best match among them (R-match).

    Razavian, Sullivan, Carlsson, Maki (ICLR workshop 2015).

    Args:
        queries: `(p, c)` parts of one query, of unit length.
        vectors: `(n, c)` of regions, those of one image side by side.
        owners: `(n,)` the image of each, not falling.
        images: how many there are; one without regions has -1.
        best: take the best part of the query, not the mean.

    Returns:
        `(images,)`.

    >>> found = region_matches(np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 0, 2]), 3)
    >>> found.tolist()
    [1.0, -1.0, 0.5]
    """
    xp = namespace_of(queries, vectors)
    products = double(vectors) @ double(queries).T
    each = spans(owners, int(vectors.shape[0]))
    found = xp.full((images, queries.shape[0]), -1.0)
    if each:
        starts = xp.asarray([start for start, _ in each])
        found[xp.asarray([int(owners[start]) for start, _ in each]), :] = xp.maximum.reduceat(products, starts, axis=0)
    return xp.max(found, axis=1) if best else xp.mean(found, axis=1)


def spans(owners: NDArray[np.integer], rows: int) -> Sequence[tuple[int, int]]:
    """Where the regions of each image lie.

    Raises:
        ArrayError: for owners that fall, or another number of them.

    >>> spans(np.array([0, 0, 2]), 3)
    [(0, 2), (2, 3)]
    """
    if owners.shape != (rows,) or (np.diff(owners) < 0).any():
        raise ArrayError(f"owners of {rows} regions, not falling, are needed; found {owners.shape}")
    cuts = np.flatnonzero(np.diff(owners)) + 1
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), rows], strict=True)) if rows else []
