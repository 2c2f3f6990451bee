"""ILSVRC's errors: by hand, and against the development kit's own way over rows of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics import (
    Guessed,
    PictureErrors,
    classification_error,
    localization_error,
    mean_error,
    picture_errors,
)
from dff_onnx.records import Box

CAT, OTHER = Box(0, 0, 10, 10), Box(50, 50, 60, 60)


def test_exactly_one_half_is_right() -> None:
    assert localization_error([("cat", Box(0, 0, 10, 5))], {"cat": [CAT]}, 1) == 0
    assert localization_error([("cat", Box(0, 0, 100, 49))], {"cat": [Box(0, 0, 100, 99)]}, 1) == 1  # 49/99


def test_one_pixel_more_decides() -> None:
    # Inclusive 1..2 in 1..4 has 2/4 with +1 pixels and 1/3 without; inclusive 1..1 has 1/4.
    assert localization_error([("cat", Box(0, 0, 2, 1))], {"cat": [Box(0, 0, 4, 1)]}, 1) == 0
    assert localization_error([("cat", Box(0, 0, 1, 1))], {"cat": [Box(0, 0, 4, 1)]}, 1) == 1


def test_label_and_box_must_be_right_in_one_guess() -> None:
    guesses: list[Guessed] = [("cat", OTHER), ("dog", CAT)]
    assert localization_error(guesses, {"cat": [CAT]}, 5) == 1
    assert classification_error(guesses, ["cat"], 5) == 0
    assert localization_error([*guesses, ("cat", CAT)], {"cat": [CAT]}, 5) == 0


def test_any_true_box_of_the_label_will_do_and_those_of_others_will_not() -> None:
    truths = {"cat": [OTHER, CAT]}
    assert localization_error([("cat", CAT)], truths, 1) == 0
    assert localization_error([("cat", CAT)], {"cat": [OTHER], "dog": [CAT]}, 1) == 1


def test_only_the_first_guesses_count() -> None:
    guesses: list[Guessed] = [("dog", CAT), ("cat", OTHER), ("cat", CAT)]
    assert [localization_error(guesses, {"cat": [CAT]}, n) for n in (1, 2, 3, 5)] == [1, 1, 0, 0]
    assert [classification_error(guesses, ["cat"], n) for n in (1, 2, 3)] == [1, 0, 0]


def test_a_guess_without_a_box_counts_for_the_class_alone() -> None:
    assert picture_errors([("cat", None)], {"cat": [CAT]}, 5) == PictureErrors(0.0, 1.0)
    assert picture_errors([], {"cat": [CAT]}, 5) == PictureErrors(1.0, 1.0)
    assert picture_errors([("cat", CAT)], {"cat": []}, 5) == PictureErrors(0.0, 1.0)


def test_several_labels_are_averaged() -> None:
    truths = {"cat": [CAT], "dog": [OTHER], "cow": [OTHER]}
    assert picture_errors([("dog", OTHER), ("cat", OTHER)], truths, 5) == PictureErrors(1 / 3, 2 / 3)


def test_a_blacklisted_picture_counts_in_classification_alone() -> None:
    pictures = [picture_errors([("cat", CAT)], {"cat": [CAT]}, 1, blacklisted=black) for black in (True, False, True)]
    pictures.append(picture_errors([("dog", CAT)], {"cat": [CAT]}, 1))
    assert mean_error([one.classification for one in pictures]).estimate == 1 / 4
    assert mean_error([one.localization for one in pictures]).estimate == 1 / 2  # of 4 - 2


def test_the_interval_is_around_the_mean_and_empty_of_nothing() -> None:
    found = mean_error([0.0, 1.0] * 200)
    assert found.estimate == 0.5 and 0.43 < found.low < 0.47 and 0.53 < found.high < 0.57
    assert math.isnan(mean_error([None]).estimate) and math.isnan(mean_error([]).low)


def test_no_label_and_no_guess_that_counts_are_refused() -> None:
    with pytest.raises(ArrayError, match="has no label"):
        localization_error([], {}, 5)
    with pytest.raises(UsageError, match="must count, found 0"):
        classification_error([], ["cat"], 0)


def kit_errors(
    rows: NDArray[np.float64], labels: NDArray[np.int64], truths: list[NDArray[np.float64]], black: set[int], first: int
) -> tuple[float, float]:
    """Rows `label x0 y0 x1 y1 ...` of inclusive corners, padded with zeros, as `eval_clsloc.m` goes through them."""
    rows = rows[:, : 5 * first]
    wrong = labels[:, None] != rows[:, ::5]
    errors = []
    for i, row in enumerate(rows):
        if i in black:
            continue
        best = 1.0
        for j in range(first):
            if not wrong[i, j]:
                bb = row[5 * j + 1 : 5 * j + 5]
                for gt in truths[i]:
                    iw, ih = min(bb[2], gt[2]) - max(bb[0], gt[0]) + 1, min(bb[3], gt[3]) - max(bb[1], gt[1]) + 1
                    overlap = -1.0
                    if iw > 0 and ih > 0:
                        areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (bb, gt)]
                        overlap = iw * ih / (sum(areas) - iw * ih)
                    best = min(best, float(overlap < 0.5))
        errors.append(best)
    return float(wrong.all(axis=1).mean()), sum(errors) / (len(rows) - len(black))


@pytest.mark.parametrize("first", [1, 3, 5])
def test_made_up_guesses_have_the_development_kits_errors(first: int) -> None:
    rng = np.random.default_rng(first)
    n, classes = 300, 3

    def corners(count: int) -> NDArray[np.float64]:
        low = rng.integers(0, 8, (count, 2))
        return np.hstack([low, low + rng.integers(0, 8, (count, 2))]).astype(np.float64)

    labels = rng.integers(1, classes + 1, n)
    truths = [corners(int(rng.integers(1, 4))) for _ in range(n)]
    said = rng.integers(0, classes + 1, (n, 5))  # 0 is no guess
    rows = np.concatenate([np.hstack([said[:, [j]], corners(n)]) for j in range(5)], axis=1)
    black = set(rng.choice(n, 40, replace=False).tolist())
    ours = []
    for i in range(n):
        boxes = [Box(int(x0), int(y0), int(x1) + 1, int(y1) + 1) for x0, y0, x1, y1 in truths[i]]
        guesses: list[Guessed] = []
        for label, x0, y0, x1, y1 in rows[i].reshape(5, 5).astype(int).tolist():
            guesses.append((str(label) if label else "", Box(x0, y0, x1 + 1, y1 + 1)))
        ours.append(picture_errors(guesses, {str(labels[i]): boxes}, first, i in black))
    means = [mean_error([getattr(one, task) for one in ours], samples=1).estimate for task in PictureErrors.__slots__]
    theirs = kit_errors(rows, labels, truths, black, first)
    assert means == pytest.approx(theirs) and 0.1 < theirs[0] < theirs[1] < 1
