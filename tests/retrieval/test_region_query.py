"""Queries of several parts: maxima, minima and differences written out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError
from dff_onnx.retrieval import best_regions, combined, region_query


def test_a_picture_has_a_part_as_far_as_its_best_region() -> None:
    found = best_regions(np.array([[0.1, 0.7, 0.3, -0.2], [0.9, 0.2, 0.3, -0.1]]), [0, 2, 2, 3, 4])
    np.testing.assert_allclose(found, [[0.7, -np.inf, 0.3, -0.2], [0.9, -np.inf, 0.3, -0.1]])


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 3), st.integers(1, 25), st.integers(0, 99))
def test_any_numbers_of_regions_give_the_maxima_of_a_loop(counts: Any, parts: int, at_once: int, seed: int) -> None:
    offsets = np.cumsum([0, *counts])
    similarities = np.random.default_rng(seed).normal(0, 1, (parts, offsets[-1]))
    expected = [[max(row[a:b], default=-np.inf) for a, b in pairwise(offsets)]
                for row in similarities.tolist()]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(region_query, "PICTURES", at_once)
        assert best_regions(similarities, offsets.tolist()).tolist() == expected


def test_a_picture_must_have_every_wanted_part() -> None:
    # The first has one part exactly and lacks the other; the second has both more or less.
    assert combined(np.array([[1.0, 0.6], [0.1, 0.5]])).tolist() == [0.1, 0.5]


def test_the_most_of_what_is_unwanted_is_subtracted() -> None:
    wanted, unwanted = np.array([[0.5, 0.5, 0.5]]), np.array([[0.25, -0.5, 0.0], [0.125, -0.75, 0.5]])
    assert combined(wanted, unwanted).tolist() == [0.25, 0.5, 0.0]
    assert combined(wanted, unwanted[:0]).tolist() == [0.5] * 3


@given(st.permutations(range(4)), st.integers(0, 99))
def test_the_order_of_parts_does_not_matter_and_a_part_twice_is_a_part_once(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, unwanted = rng.normal(0, 1, (2, 4, 7))
    expected = combined(wanted, unwanted).tolist()
    assert combined(wanted[order], unwanted[order]).tolist() == expected
    assert combined(np.tile(wanted, (2, 1)), np.tile(unwanted, (2, 1))).tolist() == expected


def test_a_picture_without_regions_comes_last() -> None:
    have = best_regions(np.array([[0.3, -0.9]]), [0, 1, 1, 2])
    assert combined(have, have).tolist() == [0.0, -np.inf, -0.9]


def test_it_runs_on_a_foreign_device() -> None:
    similarities = np.random.default_rng(0).normal(0, 1, (3, 9)).astype(np.float32)
    ours, theirs = (best_regions(move(similarities), [0, 4, 4, 9]) for move in (np.asarray, away))
    np.testing.assert_array_equal(home(theirs), ours)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(home(combined(theirs[:2, :], theirs[2:, :])), combined(ours[:2], ours[2:]))


@pytest.mark.parametrize("offsets", [[0, 3], [1, 4], [0, 3, 2, 4], [0], [[0, 4]]])
def test_offsets_that_are_none_are_refused(offsets: Any) -> None:
    with pytest.raises(ArrayError, match="offsets"):
        best_regions(np.ones((2, 4)), offsets)


def test_queries_that_want_nothing_or_differ_in_pictures_are_refused() -> None:
    with pytest.raises(ArrayError, match="at least one wanted part is needed"):
        combined(np.ones((0, 4)), np.ones((1, 4)))
    with pytest.raises(ArrayError, match=r"parts of \(4,\) pictures are wanted, and of \(3,\) unwanted"):
        combined(np.ones((1, 4)), np.ones((1, 3)))
