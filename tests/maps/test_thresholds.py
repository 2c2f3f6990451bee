from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import array_api_strict
import cv2
import numpy as np
import pytest

import dff_onnx.maps.thresholds as thresholds_file
from dff_onnx.errors import UsageError
from dff_onnx.maps import Threshold, set_percentile, set_thresholds, upsample
from dff_onnx.maps.otsu import three_classes, two_classes, two_classes_of_counts
from dff_onnx.records import Grid

GRIDS = [Grid(4, 6), Grid(5, 3)]
SIZES = [Grid(40, 60), Grid(50, 30)]


def coefficients(k: int = 2) -> Any:
    return np.random.default_rng(0).gamma(0.6, size=(39, k)).astype(np.float32)


def test_otsu_parts_where_opencv_parts() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        levels = np.clip(np.concatenate([rng.normal(60, 20, 700), rng.normal(170, 25, 300)]), 0, 255).astype(np.uint8)
        levels[:2] = 0, 255
        theirs, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)
        assert abs(two_classes(levels).thresholds[0] - theirs) <= 2  # edges of bins there, levels here


def test_three_classes_are_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(m, 0.4, 200) for m in (0, 3, 7)])
    cuts = np.histogram(values, 24)[1]
    found = three_classes(values, 24)

    def within(bounds: tuple[float, ...]) -> float:
        edges = [-math.inf, *bounds, math.inf]
        parts = [values[(values >= a) & (values < b)] for a, b in pairwise(edges)]
        return sum(float(((p - p.mean()) ** 2).sum()) for p in parts if p.size)

    best = min(within((a, b)) for i, a in enumerate(cuts[1:-1]) for b in cuts[i + 2 : -1])
    assert within(found.thresholds) <= 1.02 * best
    assert found.explained > 0.97


def test_two_classes_explain_two_over_pi_of_normal_values() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    assert two_classes(values).explained == pytest.approx(2 / math.pi, abs=0.005)


def test_values_that_are_all_equal_part_at_themselves() -> None:
    assert two_classes(np.full(9, 3.0)).thresholds == pytest.approx((3.0,), abs=0.01)
    assert two_classes(np.full(9, 3.0)).explained == three_classes(np.zeros(4)).explained == 0


def test_values_that_differ_by_rounding_are_all_equal() -> None:
    rng = np.random.default_rng(0)
    for value in rng.normal(size=200).astype(np.float32):
        values = upsample(np.full((1, 3, 5), value, np.float32), 64, 64)
        assert two_classes(values).explained == three_classes(values).explained == 0
        assert two_classes(values).thresholds[0] == pytest.approx(float(value), rel=1e-5)


def test_otsu_counts_the_values_at_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpolation rounds some of a plateau's values above it."""
    seen = list[int]()
    monkeypatch.setattr(
        thresholds_file,
        "two_classes_of_counts",
        lambda counts, edges: seen.append(int(counts.sum())) or two_classes_of_counts(counts, edges),
    )
    for value in np.random.default_rng(0).uniform(0.5, 2, 30).astype(np.float32):
        set_thresholds(np.full((336, 1), value), [Grid(14, 24)], [Grid(203, 307)], Threshold("otsu"))
    assert set(seen) == {203 * 307}


@pytest.mark.parametrize("domain", [GRIDS, SIZES])
def test_the_percentile_is_of_the_sizes_that_are_given(domain: list[Grid]) -> None:
    H = coefficients()
    found = set_thresholds(H, GRIDS, domain, Threshold(percentile=60))
    assert found.tolist() == set_percentile(H, GRIDS, domain, 60).tolist()


def test_a_fraction_is_of_the_concepts_peak() -> None:
    H = coefficients()
    np.testing.assert_allclose(
        set_thresholds(H, GRIDS, SIZES, Threshold("fraction", fraction=0.2)), 0.2 * H.max(axis=0)
    )


def test_otsu_is_that_of_all_values_of_all_maps() -> None:
    H = coefficients()
    maps = [upsample(H[:24].T.reshape(2, 4, 6), 40, 60), upsample(H[24:].T.reshape(2, 5, 3), 50, 30)]
    for j in range(2):
        values = np.concatenate([m[j].ravel() for m in maps])
        levels = np.rint(values / H[:, j].max() * 255).astype(np.uint8)
        theirs = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0] / 255 * H[:, j].max()
        ours = set_thresholds(H, GRIDS, SIZES, Threshold("otsu"))[j]
        assert ours == pytest.approx(theirs, abs=0.012 * float(H[:, j].max()))


def test_rules_need_no_numpy() -> None:
    H = coefficients()
    away = array_api_strict.asarray(H, device=array_api_strict.Device("device1"))
    for threshold in (Threshold(), Threshold("fraction"), Threshold("otsu")):
        np.testing.assert_allclose(
            set_thresholds(away, GRIDS, SIZES, threshold), set_thresholds(H, GRIDS, SIZES, threshold), rtol=1e-5
        )


def test_a_concept_that_is_nowhere_has_a_threshold() -> None:
    H = np.zeros((39, 1), np.float32)
    for rule in ("percentile", "fraction", "otsu"):
        assert set_thresholds(H, GRIDS, SIZES, Threshold(rule)).tolist() == [0.0]  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [("median",), ("otsu", 101), ("otsu", 75, 1.5), ("otsu", 75, 0.5, "screen")])
def test_impossible_thresholds_are_refused(options: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError):
        Threshold(*options)
