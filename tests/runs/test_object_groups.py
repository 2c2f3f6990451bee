"""Groups of regions: greedy, one a picture, none twice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dff_onnx.records import Box
from dff_onnx.runs.object_groups import greedy_groups

APART = [Box(40 * i, 0, 40 * i + 20, 20) for i in range(8)]


def graph(*edges: tuple[int, int, float], regions: int = 6) -> csr_array:
    dense = np.zeros((regions, regions))
    for i, j, height in edges:
        dense[i, j] = dense[j, i] = height
    return csr_array(dense)


def test_the_most_central_region_takes_its_neighbours_along_by_similarity() -> None:
    edges = graph((2, 0, 0.3), (2, 5, 0.7), (2, 4, 0.7), (0, 1, 0.9))
    found = greedy_groups(edges, np.array([0.5, 0.4, 0.9, 0.3, 0.2, 0.1]), np.arange(6), APART, 20)
    assert found == [[2, 4, 5, 0]]  # 1 has no free neighbour left, 3 none at all


def test_a_picture_is_in_a_group_once_with_its_most_similar_region() -> None:
    edges = graph((0, 1, 0.4), (0, 2, 0.6), (0, 3, 0.9))
    owners = np.array([7, 8, 8, 7, 1, 1])
    assert greedy_groups(edges, np.array([0.9, 0.1, 0.1, 0.1, 0, 0]), owners, APART, 20) == [[0, 2]]


def test_the_place_of_a_member_is_no_seed_any_more() -> None:
    boxes = [Box(0, 0, 20, 20), Box(2, 0, 22, 20), *APART[2:]]
    edges = graph((0, 2, 0.5), (1, 3, 0.5))
    owners, central = np.array([0, 0, 1, 2, 3, 4]), np.array([0.9, 0.8, 0.2, 0.1, 0, 0])
    assert greedy_groups(edges, central, owners, boxes, 20) == [[0, 2]]
    assert greedy_groups(edges, central, owners, APART, 20) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("top", [1, 2])
def test_there_are_no_more_groups_than_asked_for(top: int) -> None:
    edges = graph((0, 1, 0.5), (2, 3, 0.5), (4, 5, 0.5))
    assert len(greedy_groups(edges, np.arange(6.0), np.arange(6), APART, top)) == top


def test_of_equally_central_regions_the_first_goes_first() -> None:
    edges = graph((0, 1, 0.5), (2, 3, 0.5))
    assert greedy_groups(edges, np.ones(6), np.arange(6), APART, 20) == [[0, 1], [2, 3]]


def test_what_is_in_one_picture_alone_is_no_object() -> None:
    assert greedy_groups(graph((0, 1, 0.5)), np.ones(6), np.array([3, 3, 0, 1, 2, 4]), APART, 20) == []
