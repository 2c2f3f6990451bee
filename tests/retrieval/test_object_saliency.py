"""Object saliency: every vote counted by hand, objects that come back against things that do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import learn_whitening, normalized
from dff_onnx.retrieval.saliency import RegionVotes, cell_vectors, feature_saliency, object_saliency


def activations(shape: tuple[int, ...] = (2, 6, 4, 5), seed: int = 0) -> Any:
    return np.maximum(np.random.default_rng(seed).normal(-0.3, 1, shape), 0).astype(np.float32)


def some_votes(regions: int = 30, width: int = 6, seed: int = 1) -> RegionVotes:
    rng = np.random.default_rng(seed)
    vectors = normalized(rng.normal(0, 1, (regions, width)).astype(np.float32))
    return RegionVotes(vectors, rng.integers(0, 5, regions), rng.random(regions), rng.gamma(1, 1, regions))


def katz(vectors: Any, alpha: float = 0.9) -> Any:
    """Centralities by a dense solver: the whole graph of cubed similarities."""
    A = np.maximum(vectors @ vectors.T, 0).astype(float) ** 3
    np.fill_diagonal(A, 0)
    d = A.sum(axis=1)
    root = np.where(d > 0, 1 / np.sqrt(np.where(d > 0, d, 1)), 0)
    W = A * root[:, None] * root
    return (1 - alpha) * np.linalg.solve(np.eye(len(W)) - alpha * W, np.ones(len(W)))


def by_loop(F: Any, cells: Any, votes: RegionVotes, own: int | None, k: int) -> Any:
    S = np.zeros(F.shape)
    for p, place in enumerate(np.ndindex(*F.shape)):
        others = [i for i in range(len(votes.owners)) if own is None or votes.owners[i] != own]
        similarity = {i: float(votes.vectors[i].astype(float) @ cells[p].astype(float)) for i in others}
        nearest = sorted(others, key=lambda i: -similarity[i])[:k]
        S[place] = F[place] * sum(
            max(0.0, similarity[i]) ** 3 * votes.scores[i] * votes.centralities[i] for i in nearest
        )
    return S


@pytest.mark.parametrize("own", [None, 2])
@pytest.mark.parametrize("neighbours", [1, 4, 100])
def test_saliency_is_the_votes_counted_one_by_one(own: int | None, neighbours: int) -> None:
    X, votes = activations(), some_votes()
    F, cells = feature_saliency(X)[0], cell_vectors(X)[0]
    expected = by_loop(F, cells, votes, own, neighbours)
    np.testing.assert_allclose(object_saliency(F, cells, votes, own, neighbours), expected, rtol=1e-5, atol=1e-9)
    assert expected.any()


def test_regions_of_the_same_picture_have_no_vote() -> None:
    X, votes = activations(), some_votes()
    F, cells = feature_saliency(X)[0], cell_vectors(X)[0]
    without = votes.owners != 3
    fewer = RegionVotes(*(one[without] for one in (votes.vectors, votes.owners, votes.scores, votes.centralities)))
    expected = object_saliency(F, cells, fewer)
    np.testing.assert_allclose(object_saliency(F, cells, votes, own=3), expected, rtol=1e-12)
    assert (object_saliency(F, cells, votes, own=3) != object_saliency(F, cells, votes)).any()


def test_the_order_of_voters_does_not_matter() -> None:
    X, votes, order = activations(), some_votes(), np.random.default_rng(4).permutation(30)
    F, cells = feature_saliency(X)[0], cell_vectors(X)[0]
    other = RegionVotes(*(one[order] for one in (votes.vectors, votes.owners, votes.scores, votes.centralities)))
    np.testing.assert_allclose(object_saliency(F, cells, other), object_saliency(F, cells, votes), rtol=1e-12)


def test_what_comes_back_in_other_pictures_outshines_what_is_salient_in_one() -> None:
    """Each picture has the same object, weakly, and a thing of its own, strongly."""
    n, c = 8, 12
    X = np.zeros((n, c, 6, 12), np.float32)
    for i in range(n):
        X[i, 0, 1:4, 1:4] = X[i, 1, 1:4, 1:4] = 1.0
        X[i, 2 + i, 2:5, 8:11] = 3.0
    F = feature_saliency(X)
    vectors = np.concatenate([normalized(X[:, :, 2, 2]), normalized(X[:, :, 3, 9])])
    owners, scores = np.tile(np.arange(n), 2), np.concatenate([F[:, 2, 2], F[:, 3, 9]])
    votes = RegionVotes(vectors, owners, scores, katz(vectors))
    for i in range(n):
        assert F[i, 2, 2] < F[i, 3, 9]
        S = object_saliency(F[i], cell_vectors(X[i : i + 1])[0], votes, own=i, neighbours=5)
        assert S[2, 2] > 5 * S[3, 9]


def test_without_voters_nothing_is_salient() -> None:
    X = activations()
    F, cells = feature_saliency(X)[0], cell_vectors(X)[0]
    votes = some_votes()
    alone = RegionVotes(votes.vectors, np.zeros(30, np.int64), votes.scores, votes.centralities)
    assert not object_saliency(F, cells, alone, own=0).any()
    none = RegionVotes(*(one[:0] for one in (votes.vectors, votes.owners, votes.scores, votes.centralities)))
    assert not object_saliency(F, cells, none).any()


def test_cells_are_the_largest_of_nine_at_unit_length() -> None:
    X = activations()
    made = cell_vectors(X)
    assert made.shape == (2, 20, 6)
    for n, y, x in np.ndindex(2, 4, 5):
        around = X[n, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max(axis=(1, 2))
        np.testing.assert_allclose(made[n, 5 * y + x], around / np.linalg.norm(around), rtol=1e-5)


def test_cells_are_whitened_as_regions_are_and_black_ones_stay_zero() -> None:
    X = activations((2, 6, 4, 9))
    whitening = learn_whitening(cell_vectors(X).reshape(-1, 6), 4)
    X[1, :, :, :5] = 0
    made = cell_vectors(X, whitening)
    np.testing.assert_allclose(made[0], whitening(cell_vectors(X)[0]))
    assert not made[1].reshape(4, 9, 4)[:, :4].any() and made[1].any()


def test_a_map_of_one_cell_has_its_vote() -> None:
    votes = RegionVotes(np.array([[0.6, 0.8]], np.float32), np.array([0]), np.array([0.5]), np.array([3.0]))
    S = object_saliency(np.ones((1, 1)), np.array([[1.0, 0.0]], np.float32), votes)
    np.testing.assert_allclose(S, [[0.6**3 * 0.5 * 3]], rtol=1e-6)


def test_it_runs_on_a_foreign_device() -> None:
    X, votes = activations(), some_votes()
    there = RegionVotes(*(away(one) for one in (votes.vectors, votes.owners, votes.scores, votes.centralities)))
    F, cells = feature_saliency(X), cell_vectors(X)
    found = object_saliency(away(F)[0, ...], cell_vectors(away(X))[0, ...], there, own=1)
    np.testing.assert_allclose(home(found), object_saliency(F[0], cells[0], votes, own=1), rtol=1e-5)


@pytest.mark.parametrize("change", [{"owners": 29}, {"scores": 31}, {"centralities": 0}])
def test_votes_that_do_not_belong_together_are_refused(change: dict[str, int]) -> None:
    votes = some_votes()
    fields = {name: getattr(votes, name) for name in ("vectors", "owners", "scores", "centralities")}
    with pytest.raises(ArrayError, match="votes: vectors"):
        RegionVotes(**fields | {name: np.zeros(length) for name, length in change.items()})


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["scores", "centralities"])
def test_votes_that_cannot_be_are_refused(name: str, value: float) -> None:
    votes = some_votes()
    fields = {name: getattr(votes, name) for name in ("vectors", "owners", "scores", "centralities")}
    with pytest.raises(ArrayError, match="negative or not finite"):
        RegionVotes(**fields | {name: np.full(30, value)})


def test_cells_of_another_map_and_no_neighbours_are_refused() -> None:
    X, votes = activations(), some_votes()
    F, cells = feature_saliency(X)[0], cell_vectors(X)[0]
    with pytest.raises(ArrayError, match="20 cells of 6 dimensions"):
        object_saliency(F, cells[1:], votes)
    with pytest.raises(ArrayError, match="20 cells of 6 dimensions"):
        object_saliency(F, cells[:, :5], votes)
    with pytest.raises(UsageError, match="at least one neighbour"):
        object_saliency(F, cells, votes, neighbours=0)
