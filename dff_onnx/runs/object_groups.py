"""Regions that show the same thing: around the most central ones, greedily.

The most central region takes its neighbours in the region graph along, then the most central one of the rest, and so
on. Connected components would be another way; on photographs nearly all regions are in one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.sparse import Sparse
from dff_onnx.metrics import box_iou
from dff_onnx.records import Box

SAME_PLACE = 0.5  # IoU: two regions of a picture are one thing


def greedy_groups(
    graph: Sparse, centralities: NDArray[np.float64], owners: NDArray[np.int64], boxes: Sequence[Box], top: int
) -> list[list[int]]:
    """Groups of regions of at least two pictures, the most central first.

    A region is in one group at most, and so is its place: regions of its picture that overlap it by half are in none.

    Args:
        graph: `(r, r)` similarities of neighbours, symmetric, 0 elsewhere.
        centralities: `(r,)`; of equals, the first region goes first.
        owners: `(r,)` the picture of each region.
        boxes: of the regions, in pixels of their pictures.
        top: groups at most.

    Returns:
        for each group its regions, one a picture: the most central one, then the others by falling similarity to it.

    >>> import scipy.sparse
    >>> edges = scipy.sparse.csr_matrix(np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]))
    >>> greedy_groups(edges, np.array([0.2, 0.3, 0.1]), np.array([0, 1, 2]), [Box(0, 0, 1, 1)] * 3, 20)
    [[1, 0]]
    """
    free = np.ones(len(owners), np.bool_)
    regions_of = {owner: np.flatnonzero(owners == owner).tolist() for owner in np.unique(owners).tolist()}
    found = list[list[int]]()
    for seed in np.argsort(-centralities, kind="stable").tolist():
        if len(found) == top:
            break
        if not free[seed]:
            continue
        group = _one_a_picture(graph, seed, owners, free)
        if len(group) < 2:
            continue
        found.append(group)
        for member in group:
            same = [one for one in regions_of[int(owners[member])] if _same_place(boxes[one], boxes[member])]
            free[same] = False
    return found


def _one_a_picture(graph: Sparse, seed: int, owners: NDArray[np.int64], free: NDArray[np.bool_]) -> list[int]:
    """A region and its free neighbours, of each other picture the one most like it."""
    start, end = graph.indptr[seed], graph.indptr[seed + 1]
    near, heights = graph.indices[start:end], graph.data[start:end]
    group, pictures = [seed], {int(owners[seed])}
    for place in np.lexsort((near, -heights)).tolist():
        region = int(near[place])
        if free[region] and int(owners[region]) not in pictures:
            group.append(region)
            pictures.add(int(owners[region]))
    return group


def _same_place(one: Box, other: Box) -> bool:
    return box_iou(one, other) >= SAME_PLACE
