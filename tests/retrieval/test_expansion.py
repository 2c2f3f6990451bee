"""Vectors moved towards their neighbours: the sums written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import alpha_expansion, augmented, average_expansion, normalized, rank


def case(m: int = 3, n: int = 30, k: int = 4) -> Any:
    rng = np.random.default_rng(0)
    queries, vectors = (normalized(rng.normal(0, 1, (rows, 7))) for rows in (m, n))
    found = rank(queries, vectors, k)
    return queries, vectors, found.indices, found.scores.astype(np.float64)


def by_loop(own: Any, vectors: Any, neighbours: Any, weights: Any) -> Any:
    made = []
    for i, vector in enumerate(own):
        total = vector + sum(w * vectors[j] for w, j in zip(weights[i], neighbours[i], strict=True))
        made.append(total / np.linalg.norm(total))
    return np.array(made)


def test_a_query_is_averaged_with_its_neighbours() -> None:
    queries, vectors, near, scores = case()
    made = average_expansion(queries, vectors, near)
    np.testing.assert_allclose(made, by_loop(queries, vectors, near, np.ones_like(scores)), rtol=1e-9)
    np.testing.assert_allclose(made, alpha_expansion(queries, vectors, near, scores, 0), rtol=1e-9)
    assert ((made[:, None] * vectors[near]).sum(axis=(1, 2)) > scores.sum(axis=1)).all()


def test_neighbours_weigh_by_their_scores_to_the_power_of_alpha() -> None:
    queries, vectors, near, scores = case()
    for alpha in (1.0, 3.0):
        made = alpha_expansion(queries, vectors, near, scores, alpha)
        np.testing.assert_allclose(made, by_loop(queries, vectors, near, scores**alpha), rtol=1e-6)
    np.testing.assert_array_equal(alpha_expansion(queries, vectors, near, scores), made)


def test_a_neighbour_of_negative_score_has_no_weight() -> None:
    queries, vectors, near, scores = case()
    apart = scores.copy()
    apart[:, 2] = -0.9
    scores[:, 2] = 0
    np.testing.assert_allclose(
        alpha_expansion(queries, vectors, near, apart), by_loop(queries, vectors, near, scores**3), rtol=1e-6
    )


def test_a_database_is_augmented_as_queries_are_but_never_by_itself() -> None:
    _, vectors, _, _ = case()
    found = rank(vectors, vectors, 5)
    assert (found.indices[:, 0] == np.arange(30)).all()  # each finds itself first
    expected = by_loop(vectors, vectors, found.indices[:, 1:], np.maximum(found.scores[:, 1:], 0) ** 3.0)
    np.testing.assert_allclose(augmented(vectors, found.indices, found.scores), expected, rtol=1e-5)
    np.testing.assert_allclose(augmented(vectors, found.indices[:, 1:], found.scores[:, 1:]), expected, rtol=1e-5)


def test_many_rows_are_the_rows_one_by_one() -> None:
    _, vectors, _, _ = case(n=5000)
    near = np.random.default_rng(1).integers(0, 5000, (5000, 3))
    scores = np.random.default_rng(2).random((5000, 3))
    made = augmented(vectors, near, scores, 2)
    weights = np.where(near == np.arange(5000)[:, None], 0, scores**2)
    np.testing.assert_allclose(made, by_loop(vectors, vectors, near, weights), rtol=1e-5)


def test_no_neighbours_leave_a_query_as_it_is() -> None:
    queries, vectors, near, scores = case()
    np.testing.assert_allclose(average_expansion(queries, vectors, near[:, :0]), queries, rtol=1e-9)
    np.testing.assert_allclose(alpha_expansion(queries, vectors, near[:, :0], scores[:, :0]), queries, rtol=1e-9)


def test_half_precision_is_added_in_single() -> None:
    queries, vectors, near, _ = case()
    made = average_expansion(queries.astype(np.float16), vectors.astype(np.float16), near)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, average_expansion(queries, vectors, near), atol=1e-3)


def test_it_runs_on_a_foreign_device() -> None:
    queries, vectors, near, scores = case()
    far = [away(array) for array in (queries, vectors, near, scores)]
    np.testing.assert_allclose(home(average_expansion(*far[:3])), average_expansion(queries, vectors, near))
    np.testing.assert_allclose(home(alpha_expansion(*far)), alpha_expansion(queries, vectors, near, scores))
    own = [away(array) for array in (vectors, near, scores)]
    with pytest.raises(ArrayError, match="30 vectors need as many rows of neighbours, found 3"):
        augmented(*own)
    every = rank(vectors, vectors, 3)
    theirs = augmented(away(vectors), away(every.indices), away(every.scores))
    np.testing.assert_allclose(home(theirs), augmented(vectors, every.indices, every.scores), rtol=1e-6)


@pytest.mark.parametrize("row", [-1, 30])
def test_neighbours_that_are_not_there_are_refused(row: int) -> None:
    queries, vectors, near, _ = case()
    near[1, 1] = row
    with pytest.raises(ArrayError, match="neighbours must be rows 0 to 29"):
        average_expansion(queries, vectors, near)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    queries, vectors, near, scores = case()
    with pytest.raises(ArrayError, match="are needed, found"):
        average_expansion(queries[:, :3], vectors, near)
    with pytest.raises(ArrayError, match=r"\(3, 4\) neighbours have \(3, 2\) scores"):
        alpha_expansion(queries, vectors, near, scores[:, :2])


@pytest.mark.parametrize("alpha", [-1, math.nan])
def test_a_negative_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha: 0 or above is needed"):
        alpha_expansion(*case(), alpha)
