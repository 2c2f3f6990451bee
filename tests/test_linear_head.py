"""A linear head: figures worked by hand, and loops that are written out."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError
from dff_onnx.linear_head import LinearHead, Pool, pooled, unit_length

DEVICE, HOST = (array_api_strict.Device(name) for name in ("device1", "CPU_DEVICE"))
POOLS: tuple[Pool, ...] = ("mean", "max", "sum")
# Two places, two channels; three classes.
A = np.array([[[[1.0, 2.0], [3.0, -4.0]]]])
WEIGHTS, BIAS = np.array([[1.0, 1.0], [0.0, -2.0], [-1.0, 0.0]]), np.array([0.5, 1.0, 2.0])


def away(array: Any) -> Any:
    return array_api_strict.asarray(array, device=DEVICE)


def home(array: Any) -> Any:
    assert array.device == DEVICE
    return np.asarray(array.to_device(HOST))


def drawn(seed: int = 0, **options: Any) -> tuple[Any, LinearHead]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (3, 4, 5, 6)), LinearHead(rng.normal(0, 1, (7, 6)), rng.normal(0, 1, 7), **options)


def by_loop(features: Any, head: LinearHead) -> Any:
    """The scores, one figure after the other, as the class describes them."""
    scores = np.zeros((len(features), head.classes))
    fold = {"mean": np.mean, "max": np.max, "sum": np.sum}[head.pool]
    for i, picture in enumerate(features):
        places = picture.reshape(-1, picture.shape[-1])
        channels = np.array([fold([place[k] for place in places]) for k in range(head.channels)])
        for c in range(head.classes):
            if head.rectified:
                scores[i, c] = fold([max(float(head.weights[c] @ place) + head.bias[c], 0) for place in places])
            else:
                length = np.sqrt(sum(x * x for x in channels)) if head.unit else 1
                scores[i, c] = sum(head.weights[c, k] * channels[k] for k in range(head.channels)) / length
                scores[i, c] += head.bias[c]
    return scores


def test_maps_are_figures_worked_by_hand() -> None:
    head = LinearHead(WEIGHTS, BIAS)
    assert (head.classes, head.channels) == (3, 2)
    assert head.maps(A).tolist() == [[[[3, -4, -1], [-1, 8, -3]]]]
    assert head.only([2, 0]).maps(A).tolist() == [[[[-1, 3], [-3, -1]]]]
    assert head.only([]).maps(A).shape == (1, 1, 2, 0)
    assert LinearHead(WEIGHTS, BIAS, rectified=True).maps(A).tolist() == [[[[3.5, 0, 1], [0, 9, 0]]]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pool": "mean"}, [1.5, 3.0, 0.0]),
        ({"pool": "sum"}, [2.5, 5.0, -2.0]),
        ({"pool": "max"}, [5.5, -3.0, -1.0]),
        ({"pool": "mean", "rectified": True}, [1.75, 4.5, 0.5]),
        ({"pool": "sum", "rectified": True}, [3.5, 9.0, 1.0]),
        ({"pool": "max", "rectified": True}, [3.5, 9.0, 1.0]),
        ({"pool": "sum", "unit": True}, [2 / 20**0.5 + 0.5, 4 / 20**0.5 + 1, -4 / 20**0.5 + 2]),
    ],
)
def test_scores_are_figures_worked_by_hand(options: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(LinearHead(WEIGHTS, BIAS, **options).scores(A), [expected], atol=1e-12)


OPTIONS = [{"pool": pool, **more} for pool in POOLS for more in ({}, {"rectified": True}, {"unit": True})]


@pytest.mark.parametrize("options", OPTIONS)
def test_scores_are_those_of_a_loop(options: dict[str, Any]) -> None:
    features, head = drawn(**options)
    np.testing.assert_allclose(head.scores(features), by_loop(features, head), rtol=1e-9)
    if not head.rectified:
        np.testing.assert_array_equal(head.of_pooled(pooled(features, head.pool)), head.scores(features))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*(st.integers(1, 4),) * 4),
    classes=st.integers(1, 5),
    options=st.sampled_from(OPTIONS),
)
def test_any_head_scores_as_the_loop_does(seed: int, shape: Any, classes: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(0, 3, shape), 0)
    head = LinearHead(rng.normal(0, 1, (classes, shape[-1])), rng.normal(0, 1, classes), **options)
    if head.unit and not features.any(axis=(1, 2, 3)).all():
        features += 0.1  # the loop knows no unit length of nothing
    np.testing.assert_allclose(head.scores(features), by_loop(features, head), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_pooled_maps_and_the_bias_once_are_the_scores(pool: Pool) -> None:
    features, head = drawn(pool=pool)
    maps = head.maps(features)
    np.testing.assert_allclose(pooled(maps, pool) + head.bias, head.scores(features), rtol=1e-9)
    # Taken into the maps, the bias of a sum would count at each of the 20 places.
    wrong = pooled(maps + head.bias, pool) - head.scores(features)
    np.testing.assert_allclose(wrong, np.broadcast_to(head.bias * (19 if pool == "sum" else 0), (3, 7)), atol=1e-9)


def test_the_maximum_of_a_map_is_no_score_but_where_one_place_has_all_maxima() -> None:
    features, head = drawn(pool="max")
    assert not np.allclose(pooled(head.maps(features), "max") + head.bias, head.scores(features))
    features[:, 1, 2] = features.max(axis=(1, 2))
    best = head.maps(features)[:, 1, 2]
    np.testing.assert_allclose(best + head.bias, head.scores(features), rtol=1e-9)


@pytest.mark.parametrize("pool", POOLS)
def test_pooled_rectified_maps_are_the_scores(pool: Pool) -> None:
    features, head = drawn(pool=pool, rectified=True)
    maps = head.maps(features)
    assert maps.min() == 0 < maps.max()
    np.testing.assert_array_equal(pooled(maps, pool), head.scores(features))


@pytest.mark.parametrize("options", OPTIONS)
def test_it_runs_on_a_foreign_device(options: dict[str, Any]) -> None:
    features, head = drawn(**options)
    far = away(features)
    np.testing.assert_allclose(home(head.only([6, 0, 2]).maps(far)), head.maps(features)[..., [6, 0, 2]], rtol=1e-9)
    np.testing.assert_allclose(home(head.scores(far)), head.scores(features), rtol=1e-9)
    np.testing.assert_allclose(home(unit_length(far[:, 0, 0, :])), unit_length(features[:, 0, 0]), rtol=1e-9)


def test_results_have_the_type_of_the_features() -> None:
    features, head = drawn()
    for dtype in (np.float32, np.float64):
        assert head.maps(features.astype(dtype)).dtype == head.scores(features.astype(dtype)).dtype == dtype


def test_rows_of_zeros_have_no_direction_and_stay() -> None:
    assert unit_length(np.array([[0.0, 0.0], [0.0, -5.0]])).tolist() == [[0, 0], [0, -1]]
    head = LinearHead(WEIGHTS, BIAS, unit=True)
    assert head.scores(np.zeros((1, 2, 2, 2))).tolist() == [BIAS.tolist()]


@pytest.mark.parametrize("shapes", [((3, 2), (2,)), ((3, 2), (3, 1)), ((3,), (3,)), ((1, 3, 2), (1,))])
def test_weights_and_a_bias_that_do_not_fit_are_refused(shapes: Any) -> None:
    with pytest.raises(ArrayError, match=r"weights \(classes, c\) and bias \(classes,\) are needed, found"):
        LinearHead(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_a_rectified_head_pools_no_features() -> None:
    with pytest.raises(ArrayError, match="has no features to bring to unit length"):
        LinearHead(WEIGHTS, BIAS, rectified=True, unit=True)
