"""A group's class: the one that is first in most of its pictures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dff_onnx.cam.vote import Vote, majority_class
from dff_onnx.errors import ArrayError


def test_the_class_of_most_votes_is_taken_however_probable_others_are() -> None:
    sure, unsure = [0.0, 1.0, 0.0], [0.4, 0.3, 0.3]
    assert majority_class(np.array([unsure, sure, unsure])) == Vote(0, 2, 3, pytest.approx(0.8 / 3))


def test_of_equal_votes_the_more_probable_class_is_taken() -> None:
    assert majority_class(np.array([[0.6, 0.4], [0.1, 0.9]])).number == 1
    assert majority_class(np.array([[0.9, 0.1], [0.4, 0.6]])).number == 0


def test_a_class_without_a_vote_is_not_taken_however_probable_it_is() -> None:
    """The last class is second in both pictures, and the most probable on average."""
    assert majority_class(np.array([[0.51, 0.0, 0.49], [0.0, 0.51, 0.49]])).number == 0


def test_of_equal_votes_and_means_the_lower_number_is_taken() -> None:
    assert majority_class(np.array([[0.0, 0.25, 0.75], [0.0, 0.75, 0.25]])) == Vote(1, 1, 2, 0.5)


def test_a_picture_between_two_classes_votes_for_the_lower_number() -> None:
    assert majority_class(np.array([[0.25, 0.25, 0.25, 0.25]])) == Vote(0, 1, 1, 0.25)


def test_votes_are_those_of_a_plain_count() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        shares = rng.dirichlet(np.ones(6), rng.integers(1, 12))
        counts = Counter(row.index(max(row)) for row in shares.tolist())
        best = max(counts, key=lambda number: (counts[number], shares[:, number].mean(), -number))
        found = majority_class(shares)
        assert (found.number, found.votes, found.pictures) == (best, counts[best], len(shares))
        assert found.probability == pytest.approx(shares[:, best].mean())


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,), (2, 2, 2)])
def test_what_no_one_can_vote_with_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArrayError, match=r"vote: finite probabilities \(pictures, classes\)"):
        majority_class(np.zeros(shape))


def test_a_vote_that_is_no_number_is_refused() -> None:
    with pytest.raises(ArrayError, match="finite"):
        majority_class(np.array([[0.5, np.nan]]))
