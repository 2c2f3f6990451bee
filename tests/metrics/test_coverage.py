"""Concepts and parts: equations 7 to 9 by hand, by brute force, and at the border of one half."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.metrics import (
    Counts,
    PartCounts,
    agreement,
    assigned,
    best_part_iou,
    coverage,
    labelled,
    part_counts,
    single_part_iou,
    union_counts,
)

Masks = NDArray[np.bool_]


def row(*texts: str) -> Masks:
    """Masks of one line each: '##..'."""
    return np.array([[[c == "#" for c in text]] for text in texts])


def total(images: list[PartCounts]) -> PartCounts:
    added = images[0]
    for one in images[1:]:
        added = added + one
    return added


def random_images(seed: int, images: int = 4, k: int = 3, p: int = 4) -> list[tuple[Masks, Masks, Masks]]:
    """Masks, parts and void of images of several sizes."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(images):
        height, width = rng.integers(1, 15, 2)
        shares = rng.random(k + p)[:, None, None] * (rng.random(k + p) < 0.8)[:, None, None]
        drawn = rng.random((k + p, height, width)) < shares
        made.append((drawn[:k], drawn[k:], rng.random((height, width)) < 0.1))
    return made


def test_a_case_worked_by_hand() -> None:
    masks = row("####....", ".....###")
    parts = row("##......", "..###...", "........", "......##")
    counts = part_counts(masks, parts)
    assert counts.inter.tolist() == [[2, 2, 0, 0], [0, 0, 0, 2]]
    assert counts.concepts.tolist() == [4, 3] and counts.parts.tolist() == [2, 3, 0, 2]
    np.testing.assert_allclose(coverage(counts), [[1, 2 / 3, np.nan, 0], [0, 0, np.nan, 1]])
    assert assigned(counts) == ((0, 1), (3,))
    assert union_counts(masks, parts, assigned(counts)) == (Counts(4, 5), Counts(2, 3))
    np.testing.assert_allclose(single_part_iou(counts), [[2 / 4, 2 / 5, 0, 0], [0, 0, 0, 2 / 3]])
    assert best_part_iou(counts) == pytest.approx((1 / 2 + 2 / 3) / 2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_counts_over_images_are_those_of_all_pixels_in_one_line(seed: int) -> None:
    images = random_images(seed)
    counts = total([part_counts(*one) for one in images])
    masks, parts = (
        np.concatenate([one[i].reshape(len(one[i]), -1)[:, ~one[2].ravel()] for one in images], axis=1) for i in (0, 1)
    )
    assert counts.inter.tolist() == [[int((m & p).sum()) for p in parts] for m in masks]
    iou = single_part_iou(counts)
    for f, mask in enumerate(masks):
        for p, part in enumerate(parts):
            if (mask | part).any():
                assert iou[f, p] == pytest.approx(jaccard_score(part, mask, zero_division=0.0))
            else:
                assert math.isnan(iou[f, p])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_the_second_pass_is_the_union_drawn(seed: int) -> None:
    images = random_images(seed)
    given_parts = assigned(total([part_counts(*one) for one in images]))
    found = agreement([union_counts(masks, parts, given_parts, void) for masks, parts, void in images])
    for f, mine in enumerate(given_parts):
        if not mine:
            assert found.dataset_wide[f] is None and found.per_image[f] is None
            continue
        drawn = [(m[f], np.any([p[j] for j in mine], axis=0), ~v) for m, p, v in images]
        pairs = [(int((m & p & v).sum()), int(((m | p) & v).sum())) for m, p, v in drawn]
        assert found.dataset_wide[f] == sum(a for a, _ in pairs) / sum(b for _, b in pairs)
        assert found.per_image[f] == pytest.approx(np.mean([a / b for a, b in pairs if b]))
    assert found.unassigned == given_parts.count(())


def test_half_a_part_is_not_enough() -> None:
    parts = row("####....", "....###.")
    assert assigned(part_counts(row("##......"), parts)) == ((),)
    assert assigned(part_counts(row("###.##.."), parts)) == ((0, 1),)
    assert assigned(part_counts(row("##......"), parts), threshold=0.49) == ((0,),)


def test_a_part_can_belong_to_two_concepts_and_an_empty_part_to_none() -> None:
    counts = part_counts(row("####", "###."), row("###.", "...."))
    assert assigned(counts) == ((0,), (0,))


def test_a_concept_without_a_part_is_counted_and_left_out() -> None:
    images = [union_counts(row("##..", "..##"), row("##.."), ((0,), ()))]
    found = agreement(images)
    assert found.dataset_wide == (1.0, None) and found.mean == 1.0 and found.unassigned == 1
    nothing = agreement([union_counts(row("##.."), row("..##"), ((),))])
    assert math.isnan(nothing.mean) and math.isnan(nothing.mean_per_image) and nothing.unassigned == 1


def test_one_division_is_not_the_mean_of_divisions() -> None:
    images = [[Counts(90, 100)], [Counts(0, 10)], [Counts(0, 0)]]
    found = agreement(images)
    assert found.dataset_wide == (90 / 110,) and found.per_image == (0.45,)


def test_the_background_is_no_part_to_be_found() -> None:
    counts = part_counts(row("##...", "..###"), row("###..", "...##"))
    assert best_part_iou(counts) == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert best_part_iou(counts, background=1) == pytest.approx((2 / 3 + 1 / 6 * 1.2) / 2)
    assert math.isnan(best_part_iou(part_counts(row("##"), row("##")), background=0))


def test_a_concept_that_is_nowhere_lowers_the_quality_to_half() -> None:
    assert best_part_iou(part_counts(row("##..", "...."), row("##.."))) == 0.5


def test_a_person_can_give_the_parts() -> None:
    parts = ("head", "torso", "arms")
    assert labelled({0: ["torso", "head"], 2: ["arms", "arms"]}, parts, k=3) == ((0, 1), (), (2,))
    with pytest.raises(UsageError, match="concept 0 has no part 'tail'; the parts are head, torso, arms"):
        labelled({0: ["tail"]}, parts, k=1)
    with pytest.raises(UsageError, match="no concept 3"):
        labelled({3: ["head"]}, parts, k=3)


def test_what_does_not_belong_together_is_refused() -> None:
    two, one = row("##", ".."), row("##")
    with pytest.raises(ArrayError, match="do not add up"):
        part_counts(two, one) + part_counts(one, one)
    with pytest.raises(ArrayError, match=r"parts is bool \(1, 1, 3\)"):
        part_counts(two, row("###"))
    with pytest.raises(ArrayError, match="void"):
        part_counts(two, one, np.zeros((1, 3), np.bool_))
    with pytest.raises(ArrayError, match=r"\(number, H, W\)"):
        part_counts(two[0], one)
    with pytest.raises(ArrayError, match="1 concepts have parts"):
        union_counts(two, one, ((0,),))
    with pytest.raises(ArrayError, match="masks of 1"):
        union_counts(two, one, ((0,), (1,)))
    with pytest.raises(ArrayError, match="same concepts"):
        agreement([[None], [Counts(1, 1)]])
    with pytest.raises(ArrayError, match="at least one image"):
        agreement([])
