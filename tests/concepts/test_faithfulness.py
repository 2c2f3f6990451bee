"""Heads that read what was planted for them, and laws that hold for any."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

import dff_onnx.concepts.faithfulness as faithfulness_file
from dff_onnx.concepts.behind import AnyScores, HeadScores
from dff_onnx.concepts.faithfulness import Activity, Measured, control, faithfulness, random_concepts
from dff_onnx.concepts.sobol import design_points
from dff_onnx.errors import ModelError
from dff_onnx.linear_head import LinearHead
from dff_onnx.progress import Silent
from dff_onnx.records import Grid

GRIDS = [Grid(3, 4), Grid(2, 5), Grid(3, 4), Grid(4, 4)]
CELLS = sum(grid.cells for grid in GRIDS)
W = np.eye(3, 6, dtype=np.float32)
H = np.random.default_rng(0).random((CELLS, 3)).astype(np.float32)
PICTURES = Activity(H @ W, GRIDS)


def head(*rows: list[float], bias: float = 0.0) -> HeadScores:
    """Class 0 reads channels with these weights, class 1 always says 0."""
    weights = np.zeros((2, 6), np.float32)
    weights[0, : len(rows[0])] = rows[0]
    return HeadScores(LinearHead(weights, np.array([bias, 0], np.float32)))


def measured(scores: HeadScores | AnyScores, k: int = 3, **options: int) -> Measured:
    return faithfulness(PICTURES, H[:, :k], W[:k], scores, Silent(), **options)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def means() -> np.ndarray:
    return np.stack([H[rows].mean(axis=0) for rows in PICTURES.slices])


def test_a_head_that_reads_one_concept_finds_all_importance_there_and_is_lost_at_once() -> None:
    found = measured(head([0, 20, 0], bias=-2))
    assert found.kept.tolist() == [1, 1, 1, 1]
    assert found.importance[:, [0, 2]].max() == 0 and found.importance[:, 1] == pytest.approx(np.ones(4), abs=0.15)
    whole, none = sigmoid(20 * means()[:, 1] - 2), sigmoid(np.full(4, -2.0))
    assert found.probability == pytest.approx(whole, rel=1e-4)
    assert found.deletion == pytest.approx(np.stack([whole, none, none, none], axis=1), rel=1e-4)
    assert found.insertion == pytest.approx(np.stack([none, whole, whole, whole], axis=1), rel=1e-4)


def test_concepts_that_add_up_have_their_shares_and_go_in_the_order_of_them() -> None:
    weights = np.array([3.0, 9.0, 6.0])
    found = measured(head(weights.tolist()), designs=1024)
    parts = weights * means()  # of the score, uniform between 0 and these
    assert found.importance == pytest.approx(parts**2 / (parts**2).sum(axis=1, keepdims=True), abs=0.02)
    away = np.stack([parts[:, left].sum(axis=1) for left in ([0, 1, 2], [0, 2], [0], [])], axis=1)
    assert found.deletion == pytest.approx(sigmoid(away), rel=1e-4)
    put_in = np.stack([parts[:, held].sum(axis=1) for held in ([], [1], [1, 2], [0, 1, 2])], axis=1)
    assert found.insertion == pytest.approx(sigmoid(put_in), rel=1e-4)


def test_each_picture_is_asked_about_its_own_first_class() -> None:
    weights = np.zeros((3, 6), np.float32)
    weights[[0, 1, 2], [0, 1, 2]] = 50
    tilted = H * np.repeat([[3, 1, 1], [1, 3, 1], [1, 1, 3], [3, 1, 1]], [g.cells for g in GRIDS], axis=0)
    pictures, scores = Activity((tilted @ W).astype(np.float32), GRIDS), HeadScores(LinearHead(weights, np.zeros(3)))
    found = faithfulness(pictures, tilted.astype(np.float32), W, scores, Silent())
    assert found.importance.argmax(axis=1).tolist() == [0, 1, 2, 0]
    assert found.importance.max(axis=1).min() > 0.8


def test_fidelity_falls_where_the_concepts_lack_what_decides() -> None:
    scores = head([1, 1, 50], bias=-5)
    assert measured(scores).kept.tolist() == [1, 1, 1, 1]
    found = measured(scores, k=2)  # without the third
    assert found.kept.tolist() == [0, 0, 0, 0]
    assert (found.deletion[:, 0] < 0.05).all() and (found.probability > 0.9).all()


def test_any_network_that_says_the_same_gives_the_same() -> None:
    linear = head([3, 9, 6])
    other = AnyScores(lambda features: linear(features), 2)
    for ours, theirs in zip(astuple(measured(linear)), astuple(measured(other)), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_the_order_of_the_concepts_moves_nothing_but_their_places() -> None:
    scores, order = head([3, 9, 6]), [2, 0, 1]
    found, plain = faithfulness(PICTURES, H[:, order], W[order], scores, Silent(), 1024), measured(scores, designs=1024)
    assert found.importance == pytest.approx(plain.importance[:, order], abs=0.03)
    assert found.deletion == pytest.approx(plain.deletion, rel=1e-4)
    assert found.insertion == pytest.approx(plain.insertion, rel=1e-4)


def test_the_ends_of_the_curves_are_hw_and_nothing() -> None:
    found = measured(head([3, -9, 6], bias=0.5))
    assert found.deletion[:, 0] == pytest.approx(found.insertion[:, -1], rel=1e-5)
    assert found.insertion[:, 0] == pytest.approx(found.deletion[:, -1], rel=1e-5)


def test_equal_seeds_give_equal_figures_for_any_size_of_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = head([3, 9, 6])
    plain, other = measured(scores), measured(scores, seed=1)
    assert not np.array_equal(plain.importance, other.importance)
    assert all(np.array_equal(a, b) for a, b in zip(astuple(plain), astuple(measured(scores)), strict=True))
    monkeypatch.setattr(faithfulness_file, "MOST_NUMBERS", 500)
    for ours, theirs in zip(astuple(plain), astuple(measured(scores)), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)


def test_scores_that_are_not_finite_are_refused() -> None:
    broken = AnyScores(lambda features: np.full((len(features), 2), np.nan, np.float32), 2)
    with pytest.raises(ModelError, match="not finite"):
        measured(broken)


def test_random_concepts_are_rows_of_unit_length_and_none_is_empty() -> None:
    A = np.concatenate([np.zeros((50, 6), np.float32), PICTURES.A])
    found = random_concepts(A, 20, np.random.default_rng(0))
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(20), rel=1e-5)
    cosines = (A[50:] / np.linalg.norm(A[50:], axis=1, keepdims=True)) @ found.T
    assert cosines.max(axis=0) == pytest.approx(np.ones(20), rel=1e-5)
    assert len(set(cosines.argmax(axis=0).tolist())) == 20  # no place twice
    assert random_concepts(A[49:51], 3, np.random.default_rng(0)).shape == (3, 6)  # fewer places than concepts
    assert not random_concepts(A[:50], 2, np.random.default_rng(0)).any()


def test_random_concepts_do_worse_where_the_planted_ones_are_what_decides() -> None:
    rng = np.random.default_rng(1)
    coefficients = rng.gamma(0.3, 1, (CELLS, 3)).astype(np.float32)
    planted = rng.gamma(0.3, 1, (3, 30)).astype(np.float32)
    A = coefficients @ planted + rng.gamma(0.3, 0.3, (CELLS, 30)).astype(np.float32)
    weights = rng.normal(size=(20, 30)).astype(np.float32)
    scores, pictures = HeadScores(LinearHead(weights, np.zeros(20, np.float32))), Activity(A, GRIDS)
    ours = faithfulness(pictures, coefficients, planted, scores, Silent())
    random = control(pictures, 3, scores, Silent())
    assert abs(ours.insertion[:, -1] - ours.probability).mean() < abs(random.insertion[:, -1] - ours.probability).mean()
    assert random.kept.shape == (4,) and random.deletion.shape == (4, 4)
    assert np.array_equal(random.probability, ours.probability)
    assert (np.diff(random.importance.mean(axis=0)) <= 0).all()


def test_the_control_asks_as_many_points_as_the_concepts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def points(k: int, designs: int, rng: np.random.Generator) -> np.ndarray:
        asked.append(designs)
        return design_points(k, designs, rng)

    monkeypatch.setattr(faithfulness_file, "design_points", points)
    measured(head([3, 9, 6]))
    ours = sum(asked)
    control(PICTURES, 3, head([3, 9, 6]), Silent())
    assert sum(asked) == 2 * ours == 2 * 4 * 32
