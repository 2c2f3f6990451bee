"""Which concept is the query's: pictures planted so that the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError
from dff_onnx.factorization import factorize
from dff_onnx.records import Box, Grid
from dff_onnx.retrieval import cells_inside, query_concept

GRIDS = [Grid(2, 3), Grid(1, 4), Grid(2, 2)]


def heat() -> Any:
    """Concept 0 is everywhere, concept 1 in the query's first column and a little in the others."""
    H = np.zeros((14, 3))
    H[:, 0] = 5
    H[[0, 3], 1] = 2
    H[[8, 12], 1] = 1
    return H


INSIDE = np.array([[True, False, False], [True, False, False]])


def test_shares_and_means_are_figures_worked_by_hand() -> None:
    found = query_concept(heat(), GRIDS, INSIDE)
    np.testing.assert_allclose(found.shares, [10 / 70, 4 / 6, 0])
    np.testing.assert_allclose(found.means, [5, 2, 0])
    assert found.index == 1
    assert query_concept(heat(), GRIDS, INSIDE, by="mean").index == 0


def test_the_query_may_be_any_of_the_pictures() -> None:
    moved = np.concatenate([heat()[6:], heat()[:6]])
    found = query_concept(moved, [*GRIDS[1:], GRIDS[0]], INSIDE, query=2)
    np.testing.assert_allclose(found.shares, [10 / 70, 4 / 6, 0])


def test_of_equals_the_first_is_taken_and_concepts_that_are_nowhere_have_no_share() -> None:
    found = query_concept(np.ones((4, 3)), [Grid(2, 2)], np.array([[True, False], [True, True]]))
    assert (found.index, found.shares.tolist()) == (0, [0.75] * 3)
    nothing = query_concept(np.zeros((4, 3)), [Grid(2, 2)], np.ones((2, 2), bool))
    assert (nothing.index, nothing.shares.tolist(), nothing.means.tolist()) == (0, [0] * 3, [0] * 3)


def test_the_scale_of_concepts_does_not_change_shares() -> None:
    H = heat().astype(np.float32)
    np.testing.assert_allclose(
        query_concept(H * np.float32([1e-12, 1e9, 3]), GRIDS, INSIDE).shares, query_concept(H, GRIDS, INSIDE).shares
    )


@pytest.mark.parametrize("by", ["share", "mean"])
def test_a_planted_object_is_found_in_a_joint_factorization(by: Any) -> None:
    rng = np.random.default_rng(0)
    things, grid = rng.gamma(0.3, 1, (3, 40)), Grid(8, 8)
    A, crops = [], []
    for _ in range(5):
        kind = np.full((8, 8), 0)
        y, x = rng.integers(0, 5, 2)
        kind[y : y + 3, x : x + 3] = 1
        crops.append(kind == 1)
        A.append(things[kind.reshape(-1)] + 0.01 * rng.random((64, 40)))
    found = factorize(np.concatenate(A), 2)
    query = query_concept(found.H, [grid] * 5, crops[0], by=by)
    cosines = found.W @ things[1] / np.linalg.norm(things[1])
    assert query.index == cosines.argmax()
    for i, crop in enumerate(crops):
        maps = found.H[64 * i : 64 * (i + 1), query.index].reshape(8, 8)
        assert (maps > maps.max() / 2).tolist() == crop.tolist()


def test_it_runs_on_a_foreign_device() -> None:
    ours, theirs = query_concept(heat(), GRIDS, INSIDE), query_concept(away(heat()), GRIDS, away(INSIDE))
    assert theirs.index == ours.index
    np.testing.assert_allclose(home(theirs.shares), ours.shares)
    np.testing.assert_allclose(home(theirs.means), ours.means)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((heat()[1:], GRIDS, INSIDE), "of 14 cells are needed, found"),
        ((heat()[:, :0], GRIDS, INSIDE), "are needed, found"),
        ((heat(), GRIDS, INSIDE.T), r"the crop is \(3, 2\) cells, and its picture Grid\(height=2, width=3\)"),
        ((heat(), GRIDS, INSIDE & False), "the crop has no cell"),
        ((heat(), GRIDS, INSIDE, 3), "there are 3 pictures, and the query is number 3"),
        ((heat(), GRIDS, INSIDE, -1), "the query is number -1"),
    ],
)
def test_what_does_not_belong_together_is_refused(arguments: Any, sentence: str) -> None:
    with pytest.raises(ArrayError, match=sentence):
        query_concept(*arguments)


def test_cells_belong_to_a_crop_when_their_centres_do() -> None:
    picture, grid = Grid(60, 80), Grid(3, 4)  # centres at 10, 30, 50 (and 70)
    assert cells_inside(Box(0, 0, 80, 60), picture, grid).all()
    found = cells_inside(Box(10, 11, 50, 31), picture, grid)
    assert found.tolist() == [[False] * 4, [True, True, False, False], [False] * 4]
    assert cells_inside(Box(-50, -50, 500, 500), picture, grid).all()


def test_a_crop_between_centres_has_the_nearest_cell() -> None:
    found = cells_inside(Box(52, 36, 58, 39), Grid(60, 80), Grid(3, 4))
    assert np.argwhere(found).tolist() == [[1, 2]]


@pytest.mark.parametrize("crop", [Box(5, 5, 5, 9), Box(80, 0, 90, 10), Box(0, -9, 9, 0)])
def test_crops_outside_the_picture_are_refused(crop: Box) -> None:
    with pytest.raises(ArrayError, match="at least one pixel inside its picture"):
        cells_inside(crop, Grid(60, 80), Grid(3, 4))
