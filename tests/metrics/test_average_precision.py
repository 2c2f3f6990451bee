"""Average precision: by hand, by two other ways of counting it, and by laws that any ranking keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics import average_precision, mean_over_queries, positive_ranks, precision_at, ranking_of


def by_walking(order: Sequence[int], good: set[int], junk: set[int], one: Any = float) -> float:
    """Oxford's way: down the list, a trapezoid at every step, in the precision of `one`."""
    recall_before, precision_before, area = one(0), one(1), one(0)
    found = seen = 0
    for image in order:
        if image in junk:
            continue
        found += image in good
        seen += 1
        recall, precision = one(found) / one(len(good)), one(found / seen)
        area = one(area + one(recall - recall_before) * one((precision_before + precision) / one(2)))
        recall_before, precision_before = recall, precision
    return float(area)


def by_curve(order: Sequence[int], good: set[int], junk: set[int]) -> float:
    """The curve itself: precision at every cut of the list, integrated by NumPy."""
    kept = [image for image in order if image not in junk]
    hits = np.cumsum([0, *(image in good for image in kept)])
    precision = np.ones(len(kept) + 1)
    precision[1:] = hits[1:] / np.arange(1, len(kept) + 1)
    return float(np.trapezoid(precision, hits / len(good)))


def official_precisions(order: Sequence[int], good: set[int], junk: set[int], firsts: Sequence[int]) -> list[float]:
    """The revisited sets' way: positions from 1, moved up by the junk before them."""
    positions = [at - sum(one in junk for one in order[:at]) + 1 for at, image in enumerate(order) if image in good]
    return [sum(p <= min(max(positions), k) for p in positions) / min(max(positions), k) for k in firsts]


def made_up(seed: int, size: int = 60) -> tuple[list[int], set[int], set[int]]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(size).tolist()
    labelled = rng.permutation(size).tolist()
    good, ignored = int(rng.integers(1, 20)), int(rng.integers(0, 30))
    return order, set(labelled[:good]), set(labelled[good : good + ignored])


def ap(order: Sequence[int], good: set[int], junk: set[int]) -> float:
    return average_precision(positive_ranks(order, sorted(good), sorted(junk)), len(good))


@pytest.mark.parametrize(
    ("ranks", "positives", "expected"),
    [
        ([0, 2, 5], 3, 0.677778),
        ([1], 1, 0.25),
        ([0], 2, 0.5),
        ([0, 1, 2], 3, 1.0),
        ([], 3, 0.0),
        ([99], 1, 0.005),
        ([0, 1], 4, 0.5),
    ],
)
def test_known_rankings_have_their_known_precision(ranks: list[int], positives: int, expected: float) -> None:
    assert average_precision(ranks, positives) == pytest.approx(expected, abs=5e-7)


def test_trapezoids_are_not_rectangles() -> None:
    rectangles = (1 / 1 + 2 / 3 + 3 / 6) / 3
    assert rectangles == pytest.approx(0.722222, abs=5e-7)
    assert average_precision([0, 2, 5], 3) < rectangles - 0.04


@pytest.mark.parametrize("seed", range(60))
def test_three_ways_to_count_agree(seed: int) -> None:
    order, good, junk = made_up(seed)
    ours = ap(order, good, junk)
    assert ours == pytest.approx(by_walking(order, good, junk), abs=1e-12)
    assert ours == pytest.approx(by_curve(order, good, junk), abs=1e-12)
    assert ours == pytest.approx(by_walking(order, good, junk, np.float32), abs=1e-5)


@pytest.mark.parametrize("seed", range(30))
def test_a_list_that_ends_early_has_what_the_walk_finds_on_it(seed: int) -> None:
    order, good, junk = made_up(seed)
    assert ap(order[:17], good, junk) == pytest.approx(by_walking(order[:17], good, junk), abs=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_precision_among_the_first_is_that_of_the_revisited_sets(seed: int) -> None:
    order, good, junk = made_up(seed)
    ranks = positive_ranks(order, sorted(good), sorted(junk))
    ours = [precision_at(ranks, len(good), k) for k in (1, 5, 10)]
    assert ours == pytest.approx(official_precisions(order, good, junk, (1, 5, 10)))


def test_no_more_places_count_than_the_last_positive_needs() -> None:
    assert precision_at([0, 1, 2], 3, 10) == 1
    assert precision_at([1, 3], 2, 10) == 2 / 4
    assert precision_at([1, 30], 2, 10) == 1 / 10
    assert precision_at([3], 1, 1) == 0


def test_a_positive_that_was_never_found_leaves_all_places_in() -> None:
    assert precision_at([0], 2, 5) == 1 / 5
    assert precision_at([], 2, 5) == 0


def test_junk_is_looked_over_wherever_it_is() -> None:
    assert positive_ranks([9, 0, 8, 1, 7, 2], [0, 1, 2], [9, 8, 7]).tolist() == [0, 1, 2]
    assert positive_ranks([0, 5, 1, 9], [0, 1], [9]).tolist() == [0, 2]
    assert positive_ranks([0, 5], [0, 1], [99]).tolist() == [0]


def test_equal_scores_keep_the_order_of_their_indexes() -> None:
    assert ranking_of([1, 2, 1, 2, 1]).tolist() == [1, 3, 0, 2, 4]
    drawn = np.random.default_rng(0).integers(0, 5, 5000)
    assert ranking_of(drawn).tolist() == sorted(range(5000), key=lambda image: (-drawn[image], image))
    assert ranking_of([0.0, -0.0, -math.inf, math.inf]).tolist() == [3, 0, 1, 2]
    assert ranking_of(np.array([1, 255, 0], np.uint8)).tolist() == [1, 0, 2]
    assert ranking_of([]).tolist() == []


def test_queries_without_positives_are_in_no_mean() -> None:
    assert math.isnan(average_precision([], 0)) and math.isnan(precision_at([], 0, 5))
    assert mean_over_queries([0.25, math.nan, 0.75, None]).estimate == 0.5
    assert math.isnan(mean_over_queries([None]).estimate) and math.isnan(mean_over_queries([]).high)
    found = mean_over_queries([0.0, 1.0] * 200)
    assert found.estimate == 0.5 and 0.43 < found.low < 0.47 and 0.53 < found.high < 0.57


REFUSED = {
    "an image twice": (lambda: positive_ranks([1, 1], [1]), "ranking: holds a number twice"),
    "a positive twice": (lambda: positive_ranks([1], [1, 1]), "positives: holds a number twice"),
    "a negative index": (lambda: positive_ranks([1, -1], [1]), "ranking: holds -1"),
    "a float": (lambda: positive_ranks([1], [1.0]), "positives: whole numbers are needed, found float64"),
    "a table": (lambda: positive_ranks([[1]], [1]), "of the shape (1, 1)"),
    "flags": (lambda: positive_ranks([1], [1], [True]), "junk: whole numbers are needed, found bool"),
    "positive and junk": (lambda: positive_ranks([1], [2, 3], [3]), "image 3 is both positive and junk"),
    "too many ranks": (lambda: average_precision([0, 1], 1), "2 ranks are given of 1 positives"),
    "ranks that fall": (lambda: average_precision([1, 0], 2), "ranks do not ascend"),
    "a rank twice": (lambda: average_precision([1, 1], 2), "ranks: holds a number twice"),
    "nan": (lambda: ranking_of([1, math.nan]), "scores hold nan"),
    "a table of scores": (lambda: ranking_of([[1.0]]), "scores have the shape (1, 1)"),
    "words": (lambda: ranking_of(["a"]), "scores are no numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_ranking_is_refused(case: str) -> None:
    call, said = REFUSED[case]
    with pytest.raises(ArrayError) as caught:
        call()
    assert said in str(caught.value)


def test_no_place_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="must count, found 0"):
        precision_at([0], 1, 0)


rankings = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.permutations(range(n)), st.sets(st.integers(0, n - 1), min_size=1), st.sets(st.integers(0, n))
    )
)


@settings(max_examples=100, deadline=None)
@given(rankings)
def test_precision_lies_between_nothing_and_all(drawn: tuple[list[int], set[int], set[int]]) -> None:
    order, good, ignored = drawn
    junk = ignored - good
    value = ap(order, good, junk)
    assert 0 < value <= 1
    assert value == pytest.approx(by_curve(order, good, junk), abs=1e-12)
    first = [image for image in order if image not in junk][: len(good)]
    assert (value == 1) == (set(first) == good)


@settings(max_examples=100, deadline=None)
@given(rankings, st.integers(0, 24))
def test_a_positive_that_moves_up_never_costs(drawn: tuple[list[int], set[int], set[int]], at: int) -> None:
    order, good, _ = drawn
    at %= len(order)
    if at and order[at] in good and order[at - 1] not in good:
        higher = [*order]
        higher[at - 1], higher[at] = order[at], order[at - 1]
        assert ap(higher, good, set()) > ap(order, good, set())


@settings(max_examples=100, deadline=None)
@given(rankings, st.randoms(use_true_random=False))
def test_neither_names_nor_junk_matter(drawn: tuple[list[int], set[int], set[int]], random: Any) -> None:
    order, good, ignored = drawn
    junk = ignored - good
    names = random.sample(range(1000), len(order) + 1)
    renamed = ap([names[i] for i in order], {names[i] for i in good}, {names[i] for i in junk})
    assert renamed == ap(order, good, junk)
    assert ap([image for image in order if image not in junk], good, set()) == renamed
    assert ap([*order, *range(100, 120)], good, junk) == renamed  # what follows the last positive
