"""Object saliency (OS): what regions of other pictures vote for is likely to be an object that comes back.

Simeoni et al. (2017, arXiv:1709.04725): every cell looks for its nearest regions in a collection; each votes as far as
it is alike, salient in its own picture, and central among all regions. Ours: the cell's descriptor is that of the
3 x 3 cells around it, and regions of its own picture have no vote (they would outvote all others).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import count, cumulative_sum, double, like
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval.pooling import checked, normalized
from dff_onnx.retrieval.ranking import rank
from dff_onnx.retrieval.whitening import Whitening

NEIGHBOURS = 10
POWER = 3  # of similarities, as in the region graph (Iscen et al., CVPR 2017)


@dataclass(frozen=True, slots=True, eq=False)
class RegionVotes:
    """The regions of a collection, and how much each one's vote is worth.

    Attributes:
        vectors: `(r, d)` float16 or float32, of unit length, whitened as cells will be.
        owners: `(r,)` int64, the picture of each region.
        scores: `(r,)`, `>= 0`: the saliency f of each region in its own picture.
        centralities: `(r,)`, `>= 0`: g of each in the graph of all regions.

    Raises:
        ArrayError: when these do not belong together, or a vote is negative or not finite.
    """

    vectors: Array
    owners: Array
    scores: Array
    centralities: Array

    def __post_init__(self) -> None:
        shapes = [tuple(one.shape) for one in (self.vectors, self.owners, self.scores, self.centralities)]
        if len(shapes[0]) != 2 or shapes[1:] != [shapes[0][:1]] * 3 or 0 in shapes[0][1:]:
            raise ArrayError(f"votes: vectors (r, d), owners, scores and centralities (r,) are needed, found {shapes}")
        xp = namespace_of(self.scores, self.centralities)
        for values in (self.scores, self.centralities):
            if not bool(xp.all(xp.isfinite(values) & (values >= 0))):
                raise ArrayError("votes: a score or a centrality is negative or not finite")


def object_saliency(
    F: Array, cells: Array, votes: RegionVotes, own: int | None = None, neighbours: int = NEIGHBOURS
) -> Array:
    """A feature saliency map, each cell times the votes for what it shows.

    `S(p) = F(p) sum_i max(0, <v_i, u_p>)^3 f_i g_i` over the nearest regions i of the cell p.

    Args:
        F: `(h, w)` feature saliency, 0..1.
        cells: `(h w, d)` the `cell_vectors` of the same picture, row by row.
        votes: of a collection.
        own: the picture's number among their owners, whose regions have no vote; None for a picture that is not there.
        neighbours: of each cell; all where there are fewer.

    Returns:
        `(h, w)` float64; zeros where nobody votes. Its unit is that of the centralities.

    Raises:
        ArrayError: when the cells belong to another map or other votes.
        UsageError: for less than one neighbour.

    >>> votes = RegionVotes(np.eye(2, dtype=np.float32), np.array([0, 1]), np.array([0.5, 1.0]), np.array([1.0, 4.0]))
    >>> object_saliency(np.ones((1, 2)), np.array([[1.0, 0.0], [0.6, 0.8]], np.float32), votes).round(3).tolist()
    [[0.5, 2.156]]
    """
    height, width = F.shape
    if tuple(cells.shape) != (height * width, votes.vectors.shape[1]):
        raise ArrayError(
            f"object saliency: {height * width} cells of {votes.vectors.shape[1]} dimensions are needed, found "
            f"{tuple(cells.shape)}"
        )
    if neighbours < 1:
        raise UsageError(f"object saliency: at least one neighbour is needed, found {neighbours}")
    xp = namespace_of(F, cells, votes.vectors)
    if not votes.vectors.shape[0]:
        return xp.zeros_like(double(F))
    mine = votes.owners == (-1 if own is None else own)
    # As many more as might be the picture's own are asked for: all vectors without these would be a copy a picture.
    nearest = rank(cells, votes.vectors, neighbours + count(mine))
    places = xp.reshape(nearest.indices, (-1,))
    allowed = xp.reshape(xp.take(xp.astype(~mine, xp.int64), places), nearest.indices.shape)
    counted = (allowed > 0) & (cumulative_sum(allowed) <= neighbours)
    worth = double(votes.scores) * double(votes.centralities)
    alike = xp.clip(double(nearest.scores), 0, None) ** POWER * xp.astype(counted, xp.float64)
    total = xp.sum(alike * xp.reshape(xp.take(worth, places), alike.shape), axis=1)
    return double(F) * xp.reshape(total, (height, width))


def cell_vectors(X: Array, whitening: Whitening | None = None) -> Array:
    """The descriptors of cells: maxima over each cell and its eight neighbours, of unit length, whitened as regions.

    Args:
        X: `(n, c, h, w)` activations, `>= 0`.
        whitening: of the regions that they will be compared with.

    Returns:
        `(n, h w, c)`, or `(n, h w, d)`; zeros around a cell of zeros.

    >>> cell_vectors(np.array([[[[3.0, 0.0, 0.0]], [[0.0, 0.0, 4.0]]]])).tolist()
    [[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]]
    """
    X = checked(X)
    xp = namespace_of(X)
    around = _largest_of_three(_largest_of_three(X, 2), 3)
    rows = xp.reshape(xp.permute_dims(around, (0, 2, 3, 1)), (-1, X.shape[1]))
    rows = normalized(rows)
    rows = rows if whitening is None else whitening(rows)
    return xp.reshape(rows, (X.shape[0], X.shape[2] * X.shape[3], -1))


def _largest_of_three(X: Array, axis: int) -> Array:
    """The largest of each value and its neighbours along an axis."""
    xp = namespace_of(X)
    side = X.shape[axis]
    near = [np.clip(np.arange(side) + step, 0, side - 1) for step in (-1, 1)]
    before, after = (xp.take(X, like(places, X, xp.int64), axis=axis) for places in near)
    return xp.maximum(xp.maximum(before, X), after)
