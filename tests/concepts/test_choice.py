"""The choice of k: planted numbers are found, noise has one concept, and the figures are what they are said to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
from numpy.typing import NDArray
from planted import Planted, hundred, noise, planted

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.choice import LEAST, NEAR, Choice, by_halves, by_knee, choose_k, knee
from dff_onnx.concepts.halves import ROWS, Tried, distinct_agreement, splits
from dff_onnx.concepts.matching import match
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.factorization import factorize
from dff_onnx.files import walk_pictures
from dff_onnx.images import Resize
from dff_onnx.progress import Silent
from dff_onnx.runs.collect import collect

Floats = NDArray[np.floating]
CHANNELS, SIDE = 48, 6


def small(k: int, pictures: int, level: str = "middle") -> Planted:
    return planted(k, pictures, 0, level, CHANNELS, SIDE)


def figures(*halves: float | None) -> list[Tried]:
    return [Tried(k, 1 - 0.5**k, 1.0, value) for k, value in enumerate(halves, start=1)]


def test_ten_planted_numbers_are_found() -> None:
    wrong = [choose_k(one.A, one.cells, most=k + 2).k - k for k, one in hundred(many=10, channels=CHANNELS, side=SIDE)]
    assert max(map(abs, wrong)) <= 1 and sum(off == 0 for off in wrong) >= 7, wrong


@pytest.mark.slow
def test_of_a_hundred_planted_numbers_ninety_are_found_within_one() -> None:
    wrong = np.array([choose_k(one.A, one.cells).k - k for k, one in hundred()])
    assert np.mean(np.abs(wrong) <= 1) >= 0.9, wrong
    assert np.mean(wrong == 0) >= 0.7, wrong


def test_in_noise_there_is_one_concept_and_the_reason_says_that_more_do_not_agree() -> None:
    choice = choose_k(*_of(noise(12, 0, CHANNELS, SIDE)), most=5)
    assert choice.k == 1
    assert "with more, random halves of the pictures agree to" in choice.reason


def test_one_planted_concept_is_not_taken_for_many() -> None:
    assert choose_k(*_of(small(1, 15, "easy")), most=5).k <= 2


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_few_pictures_are_not_halved_and_the_bend_of_what_is_explained_decides(pictures: int) -> None:
    one = small(3, 3)
    rows = one.A[: sum(one.cells[:pictures])]
    choice = choose_k(rows, one.cells[:pictures], most=5)
    assert all(tried.halves is None for tried in choice.tried)
    assert choice.k == knee([tried.explained for tried in choice.tried])
    assert "fewer than 4 pictures cannot be halved" in choice.reason


def test_the_same_seed_gives_the_same_figures_and_another_one_others() -> None:
    one = small(3, 6)
    first, again, other = (choose_k(one.A, one.cells, seed=seed, most=4) for seed in (0, 0, 1))
    assert first == again and first.tried != other.tried and first.k == other.k == 3


@pytest.mark.parametrize(("pictures", "channels"), [(7, 48), (90, 16)])  # of the second set rows are drawn
def test_the_order_of_the_pictures_changes_nothing(pictures: int, channels: int) -> None:
    one, rng = planted(3, pictures, 0, channels=channels), np.random.default_rng(0)
    assert (len(one.A) > ROWS) == (pictures == 90)
    blocks = [block[: rng.integers(40, 65)] for block in np.split(one.A, pictures)]  # pictures of different sizes
    choices = [_choice_of([blocks[i] for i in order], 3) for order in (range(pictures), rng.permutation(pictures))]
    assert choices[0] == choices[1]


def test_nor_does_that_of_pictures_whose_values_are_the_same_but_lie_elsewhere() -> None:
    rng = np.random.default_rng(0)
    blocks = [rng.permuted(np.repeat(np.eye(6, dtype=np.float32), 5, axis=0), axis=0) for _ in range(6)]
    assert _choice_of(blocks, 4) == _choice_of(blocks[::-1], 4)


def test_pictures_may_be_there_twice() -> None:
    blocks = np.split(small(3, 4).A, 4)
    first, again = (_choice_of([blocks[i] for i in order], 3) for order in ([0, 0, 1, 1, 2, 3], [0, 1, 0, 3, 2, 1]))
    assert first == again and first.k == 3


@pytest.mark.parametrize("many", range(2, 42))
def test_no_two_splits_are_alike_and_small_sets_have_more_of_them(many: int) -> None:
    halves = splits(many, np.random.default_rng(0))
    assert all(half.sum() in (many // 2, many - many // 2) for half in halves)
    pairs = {frozenset([tuple(half), tuple(~half)]) for half in halves}
    all_there_are = {2: 0, 3: 0, 4: 3, 5: 10, 6: 10, 7: 35, 8: 35}  # of fewer than 4 a half is a single picture
    assert len(pairs) == len(halves) == all_there_are.get(many, max(6, math.ceil(200 / many)))


@pytest.mark.parametrize("factor", [2.0**-80, 2.0**60])
def test_the_scale_of_the_activations_changes_nothing(factor: float) -> None:
    one = small(2, 6)
    assert choose_k(one.A * np.float32(factor), one.cells, most=3) == choose_k(one.A, one.cells, most=3)


def test_what_is_explained_is_what_a_factorization_explains() -> None:
    one = small(4, 10)
    for tried in choose_k(one.A, one.cells, most=5).tried:
        assert tried.explained == pytest.approx(factorize(one.A, tried.k).explained, abs=0.005)


def test_a_large_set_is_judged_by_a_sample_of_its_rows() -> None:
    one = planted(3, 90, 0, channels=32, side=8)
    assert len(one.A) > ROWS
    choice = choose_k(one.A, one.cells, most=4)
    assert choice.k == 3
    assert choice.tried[2].explained == pytest.approx(factorize(one.A, 3).explained, abs=0.02)


def test_rows_that_are_drawn_count_as_much_as_those_that_are_not() -> None:
    rng = np.random.default_rng(0)
    A = np.zeros((8192, 40), np.float32)
    A[np.arange(8192), rng.integers(1, 40, 8192)] = 1
    A[::10] = 3 * np.eye(40)[0]  # a tenth of the rows, half of the energy
    assert choose_k(A, [1024] * 8, most=1).tried[0].explained == pytest.approx(factorize(A, 1).explained, abs=0.03)


def test_no_more_concepts_are_tried_than_half_of_the_pictures_have_rows() -> None:
    A = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    assert len(choose_k(A, [1, 1, 1, 1]).tried) == 2
    assert choose_k(A[:1], [1]).reason == "1: the set allows no more"


def test_pictures_of_zeros_have_one_concept() -> None:
    assert choose_k(np.zeros((40, 6), np.float32), [10] * 4, most=3).k == 1


def test_pictures_of_which_no_row_is_drawn_are_in_no_half() -> None:
    one = planted(2, 90, 0, channels=16, side=8)
    dark = np.zeros((4 * 64, 16), np.float32)
    assert len(one.A) > ROWS
    choice = choose_k(np.concatenate([one.A, dark]), [*one.cells, 64, 64, 64, 64], most=2)
    assert len(choice.tried) == 2 and choice.tried[0].halves is not None
    few = choose_k(np.concatenate([one.A, np.zeros_like(one.A)]), [*[len(one.A) // 2] * 2] * 2, most=2)
    assert [tried.halves for tried in few.tried] == [None, None]  # two pictures show something
    assert choose_k(np.zeros((ROWS + 4, 6), np.float32), [ROWS // 4 + 1] * 4, most=2).k == 1


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_numbers_above_one_that_explains_everything_do_not_count(rank: int) -> None:
    rng = np.random.default_rng(0)
    A = rng.random((400, rank)) @ rng.random((rank, 30))
    assert choose_k(A, [100] * 4, most=6).k <= rank
    assert by_halves([Tried(1, 1.0, 1.0, 1.0), Tried(2, 1.0, 1.0, 1.0)]).reason == "1: one concept explains everything"
    assert by_halves([Tried(1, 0.9, 1, 1), Tried(2, 1.0, 1, 0.9), Tried(3, 1.0, 1, 0.9)]).k == 2


def test_the_rows_may_lie_on_another_device() -> None:
    one = small(3, 4)  # three splits: the other device is slow
    away = array_api_strict.asarray(one.A, device=array_api_strict.Device("device1"))
    ours, theirs = (choose_k(A, one.cells, most=3) for A in (one.A, away))
    assert ours.k == theirs.k == 3
    for mine, other in zip(ours.tried, theirs.tried, strict=True):
        assert mine.explained == pytest.approx(other.explained, abs=1e-4)
        assert mine.halves == pytest.approx(other.halves, abs=0.02)


def test_agreement_is_the_simplified_silhouette_of_the_matched_pairs() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 4, 9))
    partners = {(pair.ours, pair.theirs) for pair in match(ours, theirs)}
    cosine = [[float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for b in theirs] for a in ours]
    near = np.mean([1 - cosine[i][j] for i in range(4) for j in range(4) if (i, j) in partners])
    far = np.mean([1 - cosine[i][j] for i in range(4) for j in range(4) if (i, j) not in partners])
    assert distinct_agreement(ours, theirs) == pytest.approx((far - near) / far)


def test_a_direction_that_all_concepts_share_is_no_agreement() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = 5 + rng.random((2, 4, 9))
    assert np.mean([pair.cosine for pair in match(ours, theirs)]) > 0.99
    assert distinct_agreement(ours, theirs) < 0.6


def test_the_largest_number_that_is_nearly_the_best_is_taken() -> None:
    assert by_halves(figures(1.0, 0.9, 0.9 - NEAR + 0.01, 0.9 - NEAR - 0.01)).k == 3
    assert by_halves(figures(1.0, LEAST, 0.2)).k == 2
    assert by_halves(figures(1.0, LEAST - 0.01, 0.2)).k == 1


def test_the_reason_names_the_figures() -> None:
    assert by_halves(figures(0.99, 0.7, 0.961, 0.93, 0.71)).reason == (
        "4: the concepts of random halves of the pictures agree to 0.93, nearly the best (0.96, with 3); "
        "with more to 0.71 at most"
    )
    assert by_halves(figures(0.99, 0.9)).reason == "2: the concepts of random halves of the pictures agree to 0.90"
    assert by_knee(figures(None, None)).k == 1


@pytest.mark.parametrize(
    ("explained", "wanted"), [([0.4], 1), ([0.4, 0.8], 1), ([0.3, 0.5, 0.6, 0.62, 0.64], 3), ([0.2, 0.2, 0.2], 1)]
)
def test_the_knee_lies_highest_above_the_chord(explained: list[float], wanted: int) -> None:
    assert knee(explained) == wanted


def test_what_cannot_be_is_refused() -> None:
    A = np.ones((6, 3), np.float32)
    with pytest.raises(UsageError, match="6 rows, and the pictures have 7"):
        choose_k(A, [3, 4])
    with pytest.raises(UsageError, match="the pictures have 0"):
        choose_k(A, [])
    with pytest.raises(UsageError, match="at least one concept"):
        choose_k(A, [3, 3], most=0)
    with pytest.raises(ArrayError, match="smallest value is -1"):
        choose_k(-A, [3, 3])
    with pytest.raises(ArrayError, match="NaN"):
        choose_k(A * np.nan, [3, 3])


@pytest.mark.slow
def test_gymnasts_have_as_many_concepts_as_the_paper_gives_them(real_data: Path) -> None:
    folder = real_data / "icoseg" / "images" / "036 Gymnastics-1"
    rows = collect(folder, walk_pictures(folder), Backbone.open(), Resize("square", 224), Silent())
    assert choose_k(rows.A, [grid.cells for grid in rows.grids]).k in (3, 4, 5)


def _choice_of(blocks: Sequence[Floats], most: int) -> Choice:
    return choose_k(np.concatenate(blocks), [len(block) for block in blocks], most=most)


def _of(one: Planted) -> tuple[Floats, list[int]]:
    return one.A, one.cells
