"""Intervals and p-values against SciPy, and by what they promise on simulated sets."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from scipy import stats

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics import Interval, bootstrap_interval, mean_of_ratios, paired_permutation

Floats = NDArray[np.float64]

SCIPYS_GENERATOR = pytest.mark.skipif(
    "rng" not in inspect.signature(scipy.stats.bootstrap).parameters, reason="SciPy 1.15 is the first that takes `rng`"
)


def images(n: int, seed: int) -> tuple[Floats, Floats]:
    """Intersections and unions."""
    rng = np.random.default_rng(seed)
    union = rng.integers(50, 500, n).astype(float)
    return np.floor(union * rng.beta(4, 3, n)), union


def ratio(numerators: Any, denominators: Any, axis: int = -1) -> Any:
    return np.sum(numerators, axis=axis) / np.sum(denominators, axis=axis)


def test_the_figure_is_the_mean_over_groups_of_ratios_of_sums() -> None:
    groups = np.array(["dog", "cat", "dog", "cow"])
    assert mean_of_ratios([1, 1, 1, 0], [2, 4, 6, 5], groups) == pytest.approx((2 / 8 + 1 / 4 + 0) / 3)
    assert mean_of_ratios([1, 0], [2, 0], [0, 1]) == 0.5  # a group without pixels says nothing
    assert math.isnan(mean_of_ratios([0, 0], [0, 0], [0, 1]))


@SCIPYS_GENERATOR
def test_the_bootstrap_of_one_group_is_scipys() -> None:
    inter, union = images(80, 1)
    theirs = stats.bootstrap(
        (inter, union), ratio, paired=True, method="percentile", n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    ours = bootstrap_interval(inter, union, np.zeros(80), samples=20_000, seed=3)
    assert ours.estimate == pytest.approx(float(ratio(inter, union)))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * (theirs.high - theirs.low))


@SCIPYS_GENERATOR
def test_the_bootstrap_is_stratified_as_scipys_of_several_samples() -> None:
    rng = np.random.default_rng(2)
    hits = [(rng.random(n) < p).astype(float) for n, p in ((30, 0.9), (60, 0.5), (20, 0.2))]

    def mean_of_means(*samples: Any, axis: int = -1) -> Any:
        return sum(np.mean(one, axis=axis) for one in samples) / len(samples)

    theirs = stats.bootstrap(
        hits, mean_of_means, method="percentile", n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    groups = np.repeat(["a", "b", "c"], [30, 60, 20])
    ours = bootstrap_interval(np.concatenate(hits), np.ones(110), groups, samples=20_000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * (theirs.high - theirs.low))


def test_an_interval_of_ninety_percent_holds_the_truth_in_about_ninety_sets_of_a_hundred() -> None:
    rng = np.random.default_rng(0)
    held = []
    for seed in range(300):
        hits = np.concatenate([rng.random(60) < 0.7, rng.random(60) < 0.4])
        found = bootstrap_interval(hits, np.ones(120), np.repeat([0, 1], 60), samples=400, level=0.9, seed=seed)
        held.append(found.low <= 0.55 <= found.high)
    assert 0.85 <= np.mean(held) <= 0.95


def test_the_interval_narrows_with_the_level_and_with_more_images() -> None:
    def width(n: int, level: float) -> float:
        found = bootstrap_interval(*images(n, 4), np.zeros(n), level=level)
        assert found.low < found.estimate < found.high
        return found.high - found.low

    assert width(100, 0.5) < width(100, 0.95) and width(1600, 0.95) == pytest.approx(width(100, 0.95) / 4, rel=0.3)


def test_equal_seeds_give_equal_intervals_and_order_of_groups_does_not_matter() -> None:
    inter, union = images(50, 7)
    groups = np.arange(50) % 3
    found = bootstrap_interval(inter, union, groups, seed=9)
    assert found == bootstrap_interval(inter, union, groups, seed=9)
    assert found != bootstrap_interval(inter, union, groups, seed=10)
    assert found == bootstrap_interval(inter, union, [f"class {g}" for g in groups], seed=9)


def test_scale_of_both_sums_changes_nothing() -> None:
    inter, union = images(50, 8)
    assert bootstrap_interval(inter, union, np.zeros(50)) == bootstrap_interval(inter * 4, union * 4, np.zeros(50))


def test_sets_that_cannot_vary_have_no_width() -> None:
    assert bootstrap_interval([1, 3], [2, 4], [0, 1]) == Interval(0.625, 0.625, 0.625)
    nothing = bootstrap_interval([0, 0], [0, 0], [0, 0])
    assert math.isnan(nothing.low) and math.isnan(nothing.high) and math.isnan(nothing.estimate)


def test_draws_without_a_pixel_are_left_out() -> None:
    found = bootstrap_interval([1, 0], [2, 0], [0, 0], samples=200)
    assert found == Interval(0.5, 0.5, 0.5)


def test_the_permutation_test_of_few_pairs_is_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(9), rng.random(9) * 0.7

    def difference(x: Any, y: Any, axis: int = -1) -> Any:
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    exact = stats.permutation_test((a, b), difference, permutation_type="samples", n_resamples=np.inf).pvalue
    ours = paired_permutation(a, np.ones(9), b, np.ones(9), np.zeros(9), samples=40_000)
    assert ours == pytest.approx(exact, abs=0.01)


@SCIPYS_GENERATOR
def test_the_permutation_test_of_ratios_is_scipys() -> None:
    (a, da), (b, db) = images(40, 1), images(40, 2)
    b = np.floor(b * 0.78)
    groups = np.repeat([0, 1], [15, 25])

    def difference(x: Any, y: Any, axis: int = -1) -> Any:
        """Of numerators packed with denominators in one figure: SciPy exchanges single figures."""

        def figure(packed: Any) -> Any:
            return sum(ratio(np.floor(packed[..., g]), packed[..., g] % 1 * 1000) for g in (slice(15), slice(15, 40)))

        assert axis == -1
        return (figure(x) - figure(y)) / 2

    theirs = stats.permutation_test(
        (a + da / 1000, b + db / 1000),
        difference,
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue
    ours = paired_permutation(a, da, b, db, groups, samples=20_000)
    assert 0.001 < ours < 0.5 and ours == pytest.approx(theirs, abs=0.015)


def test_p_is_uniform_where_the_systems_are_equal() -> None:
    rng = np.random.default_rng(1)
    found = []
    for seed in range(200):
        a, b = rng.random((2, 30))
        found.append(paired_permutation(a, np.ones(30), b, np.ones(30), np.arange(30) % 2, samples=199, seed=seed))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_p_is_one_for_a_system_against_itself_and_small_but_not_zero_for_a_clear_difference() -> None:
    hits, ones = np.arange(40) % 2, np.ones(40)
    assert paired_permutation(hits, ones, hits, ones, np.zeros(40)) == 1.0
    assert paired_permutation(ones, ones, 0 * ones, ones, np.zeros(40), samples=999) == 1 / 1000
    assert paired_permutation(ones, ones, 0 * ones, ones, np.zeros(40)) == paired_permutation(
        0 * ones, ones, ones, ones, np.zeros(40)
    )


def test_a_group_without_pixels_is_left_out_of_the_comparison() -> None:
    (a, da), (b, db) = images(20, 1), images(20, 2)
    alone = paired_permutation(a, da, b, db, np.zeros(20), samples=500)
    assert 0 < alone <= 1
    assert math.isnan(paired_permutation([0], [0], [1], [1], [0]))


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        (([1], [1, 1], [0, 0]), "as many are needed"),
        (([1, 1], [1, 1], [0]), "as many are needed"),
        (([], [], []), "as many are needed"),
        (([[1]], [[1]], [[0]]), "as many are needed"),
        (([math.nan], [1], [0]), "not finite"),
        (([1], [math.inf], [0]), "not finite"),
        (([1], [-1], [0]), "negative"),
    ],
)
def test_figures_that_cannot_be_are_refused(figures: tuple[Any, Any, Any], sentence: str) -> None:
    with pytest.raises(ArrayError, match=sentence):
        mean_of_ratios(*figures)
    with pytest.raises(ArrayError, match=sentence):
        bootstrap_interval(*figures)
    with pytest.raises(ArrayError, match=sentence):
        paired_permutation(figures[0], figures[1], *figures)


def test_impossible_levels_and_numbers_of_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="level"):
        bootstrap_interval([1], [1], [0], level=95)
    with pytest.raises(UsageError, match="samples"):
        bootstrap_interval([1], [1], [0], samples=0)
    with pytest.raises(UsageError, match="samples"):
        paired_permutation([1], [1], [1], [1], [0], samples=0)
