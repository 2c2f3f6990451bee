"""Labels under masks: counts, and ranks that are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics.label_overlap import label_counts, rank_labels

# Two rows of six: a wall (1) around a table (2), and in the second picture a lamp (3) in its corner.
FIRST = np.array([[1, 1, 2, 2, 1, 1], [1, 1, 2, 2, 1, 0]], np.uint8)
SECOND = np.array([[3, 1, 1, 1, 2, 2], [1, 1, 1, 1, 1, 1]], np.uint8)


def box(x0: int, x1: int, y1: int = 2) -> np.ndarray:
    mask = np.zeros((2, 6), np.bool_)
    mask[:y1, x0:x1] = True
    return mask


def test_counts_are_those_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    labels, mask = rng.choice([0, 5, 9, 254], (40, 30)).astype(np.uint8), rng.random((40, 30)) < 0.3
    counts = label_counts(labels, mask)
    for number in range(256):
        assert counts.labels[number] == (labels == number).sum()
        assert counts.on[number] == ((labels == number) & mask).sum()


def test_ranks_of_planted_regions_are_those_counted_by_hand() -> None:
    counts = [label_counts(FIRST, box(2, 5)), label_counts(SECOND, box(0, 1)), label_counts(FIRST, box(0, 0))]
    ranks = {rank.label: rank for rank in rank_labels(counts)}
    assert [rank.label for rank in rank_labels(counts)] == [3, 2, 1]  # both once; the lamp gains more over chance
    table, wall, lamp = ranks[2], ranks[1], ranks[3]
    assert (table.pictures, table.present) == (1, 3) and table.frequency == table.when_present == pytest.approx(1 / 3)
    assert (lamp.pictures, lamp.present, lamp.when_present) == (1, 1, 1.0) and lamp.frequency == pytest.approx(1 / 3)
    assert (wall.pictures, wall.present) == (0, 3)
    # Over the two pictures with high activation: 4 of 6 and 0 of 2 pixels; 4 of 12 and 2 of 12.
    assert table.covered == pytest.approx((4 / 6 + 0) / 2) and table.chance == pytest.approx((4 / 12 + 2 / 12) / 2)
    assert wall.covered == pytest.approx((2 / 6 + 1 / 2) / 2) and wall.chance == pytest.approx((7 / 12 + 9 / 12) / 2)


def test_more_than_the_share_is_needed_and_with_0_one_pixel() -> None:
    half = [label_counts(FIRST, box(2, 3))]  # two of the table's four
    assert {rank.label: rank.pictures for rank in rank_labels(half)} == {1: 0, 2: 0}
    assert {rank.label: rank.pictures for rank in rank_labels(half, 0.49)} == {1: 0, 2: 1}
    assert {rank.label: rank.pictures for rank in rank_labels([label_counts(FIRST, box(1, 3))], 0.0)} == {1: 1, 2: 1}


def test_a_mask_that_lies_anywhere_is_covered_as_chance_says() -> None:
    rng = np.random.default_rng(1)
    labels = [rng.choice([1, 2, 2, 3], (50, 50)).astype(np.uint8) for _ in range(40)]
    for rank in rank_labels([label_counts(one, rng.random(one.shape) < 0.2) for one in labels]):
        assert rank.covered == pytest.approx(rank.chance, abs=0.01) and rank.pictures == 0


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ArrayError, match="are needed"):
        label_counts(FIRST, box(0, 1)[:1])
    with pytest.raises(ArrayError, match="at least one picture"):
        rank_labels([])
    with pytest.raises(UsageError, match="from 0 to below 1"):
        rank_labels([label_counts(FIRST, box(0, 1))], 1.0)
    empty = rank_labels([label_counts(FIRST, box(0, 0))])
    assert [(rank.label, rank.covered, rank.chance) for rank in empty] == [(1, 0, 0), (2, 0, 0)]
