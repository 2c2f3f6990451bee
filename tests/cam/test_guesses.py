"""Guesses from ranked classes and their boxes."""

from __future__ import annotations

import pytest

from dff_onnx.cam.guesses import Guess, five_box_guesses, top_guesses
from dff_onnx.errors import UsageError
from dff_onnx.records import Box

LOOSE, TIGHT, THIRD = Box(0, 0, 9, 9), Box(2, 2, 5, 5), Box(6, 6, 8, 8)
RANKED = [11, 22, 33, 44, 55, 66]


def said(boxes: list[list[Box]]) -> list[tuple[int, Box | None]]:
    return [(guess.class_, guess.box) for guess in five_box_guesses(RANKED[: len(boxes)], boxes)]


def test_one_box_each_of_the_first_five() -> None:
    guesses = top_guesses(RANKED, [LOOSE, None, TIGHT, None, None, LOOSE])
    assert guesses == (Guess(11, LOOSE), Guess(22, None), Guess(33, TIGHT), Guess(44, None), Guess(55, None))
    assert top_guesses([], []) == ()


def test_two_of_the_first_two_classes_and_the_loose_one_of_the_third() -> None:
    assert said([[LOOSE, TIGHT, THIRD]] * 6) == [(11, LOOSE), (11, TIGHT), (22, LOOSE), (22, TIGHT), (33, LOOSE)]


def test_a_class_with_one_box_gives_one_and_the_next_moves_up() -> None:
    assert said([[LOOSE], [LOOSE, TIGHT], [LOOSE, TIGHT]]) == [
        (11, LOOSE), (22, LOOSE), (22, TIGHT), (33, LOOSE), (33, TIGHT),
    ]  # fmt: skip


def test_a_class_without_a_box_is_guessed_without_one() -> None:
    assert said([[], [], [LOOSE]]) == [(11, None), (22, None), (33, LOOSE)]


def test_as_many_boxes_as_classes_are_needed() -> None:
    for call in (top_guesses, five_box_guesses):
        with pytest.raises(UsageError, match="boxes of 1 classes are given for 2"):
            call([1, 2], [None] if call is top_guesses else [[LOOSE]])  # type: ignore[arg-type]
