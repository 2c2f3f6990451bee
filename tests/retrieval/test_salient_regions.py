"""Regions of maps: windows around components, and how salient they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from foreign_arrays import away
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import Window, region_vectors
from dff_onnx.retrieval.saliency import Mixture, expanding_mixture, mixture_windows, salient_regions, window_scores


def component(y: float, x: float, spread: float) -> Mixture:
    return Mixture(np.array([[y, x]]), np.array([spread**2]), np.ones(1))


def random_map(seed: int = 0, shape: tuple[int, int] = (9, 12)) -> Any:
    return np.random.default_rng(seed).gamma(0.4, 1, shape)


@pytest.mark.parametrize(
    ("mixture", "expected"),
    [
        (component(4, 5, 1.0), Window(2, 3, 5, 5)),  # two cells to every side
        (component(4, 5, 0.9), Window(3, 4, 3, 3)),  # the second cell's middle is beyond
        (component(0.2, 8.6, 1.0), Window(0, 7, 3, 3)),  # clipped at the upper and the right border
        (component(4.5, 5.5, 100.0), Window(0, 0, 9, 10)),
    ],
)
def test_windows_have_the_cells_within_two_standard_deviations(mixture: Mixture, expected: Window) -> None:
    assert mixture_windows(mixture, 9, 10) == (expected,)


def test_a_window_between_two_cells_has_the_nearest_one() -> None:
    assert mixture_windows(component(3.4, 0.6, 0.1), 9, 10, reach=1) == (Window(3, 1, 1, 1),)


def test_equal_windows_are_told_once_in_the_order_of_their_components() -> None:
    means = np.array([[1.0, 8.0], [1.0, 2.0], [1.05, 8.05]])
    mixture = Mixture(means, np.full(3, 1.1), np.array([0.5, 0.3, 0.2]))
    assert mixture_windows(mixture, 3, 12) == (Window(0, 6, 3, 5), Window(0, 0, 3, 5))


def test_scores_are_the_mean_share_of_the_peak_inside() -> None:
    F = random_map() * 7
    found = salient_regions(F)
    windows = mixture_windows(expanding_mixture(F), *F.shape)
    assert found.windows == windows and len(windows) > 1
    for w, score in zip(windows, found.scores, strict=True):
        inside = [F[y, x] / F.max() for y in range(w.y, w.y + w.height) for x in range(w.x, w.x + w.width)]
        assert score == pytest.approx(np.mean(inside))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_windows_lie_inside_are_no_two_alike_and_can_be_pooled(seed: int, height: int, width: int) -> None:
    F = random_map(seed, (height, width))
    found = salient_regions(F)
    assert 1 <= len(set(found.windows)) == len(found.windows) == len(found.scores)
    for w in found.windows:
        assert w.y >= 0 and w.x >= 0 and w.height >= 1 and w.width >= 1
        assert w.y + w.height <= height and w.x + w.width <= width
    assert all(0 < score <= 1 for score in found.scores)
    vectors = region_vectors(F[None, None], found.windows)
    np.testing.assert_allclose(vectors, 1)


def test_the_height_of_a_map_does_not_matter() -> None:
    F = random_map()
    first, second = salient_regions(F), salient_regions(F * 2.0**-60)
    assert first.windows == second.windows
    np.testing.assert_allclose(first.scores, second.scores)


def test_maps_of_zeros_have_no_regions_and_windows_on_them_no_score() -> None:
    assert salient_regions(np.zeros((3, 4))).windows == ()
    assert window_scores(np.zeros((3, 4)), (Window(0, 0, 2, 2),)) == (0.0,)


def test_a_map_of_one_cell_is_one_region() -> None:
    found = salient_regions(np.array([[3.0]]))
    assert (found.windows, found.scores) == ((Window(0, 0, 1, 1),), (1.0,))


def test_they_are_found_on_a_foreign_device() -> None:
    here, there = salient_regions(random_map()), salient_regions(away(random_map()))
    assert here.windows == there.windows
    np.testing.assert_allclose(here.scores, there.scores)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="a reach of 0 or more"):
        mixture_windows(component(0, 0, 1), 3, 3, reach=-1)
    with pytest.raises(UsageError, match="a map with cells"):
        mixture_windows(component(0, 0, 1), 0, 3)
    with pytest.raises(ArrayError, match="negative or not finite"):
        salient_regions(-np.ones((2, 2)))
