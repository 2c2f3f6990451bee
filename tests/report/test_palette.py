"""Colours that stay apart, for everyone."""

from __future__ import annotations

import re

import numpy as np
import pytest
from colour_vision import DEFICIENCIES, ciede2000, distances, seen_with

from dff_onnx.report.palette import SAFE, colour, from_hexadecimal, hexadecimal

VISIONS = ("normal", *DEFICIENCIES)


def colours(count: int) -> list[tuple[int, int, int]]:
    return [colour(number) for number in range(count)]


def test_the_measure_agrees_with_the_published_pairs() -> None:
    # Sharma, Wu & Dalal 2005, table 1: pairs 1, 7, 10, 17, 25 and 34.
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0010), 7.1792),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ]
    for one, other, published in pairs:
        assert ciede2000(one, other) == pytest.approx(published, abs=1e-4)


def test_white_is_white_in_every_vision() -> None:
    for vision in VISIONS:
        np.testing.assert_allclose(seen_with([[255, 255, 255]], vision), [[100, 0, 0]], atol=0.2)


def test_red_and_green_do_meet_where_a_kind_of_cone_is_missing() -> None:
    pair = [(255, 80, 0), (140, 150, 0)]
    assert distances(pair, "normal").min() > 40 > 20 > distances(pair, "deuteranopia").min()


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_eight_colours_stay_apart(vision: str) -> None:
    assert len(SAFE) == 8
    assert distances(colours(8), vision).min() >= 14


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_four_colours_lie_far_apart(vision: str) -> None:
    assert distances(colours(4), vision).min() >= 28


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_eight_colours_stand_out_from_the_darkened_picture(vision: str) -> None:
    greys = np.repeat(np.arange(0, 167)[:, None], 3, axis=1)
    apart = ciede2000(seen_with(colours(8), vision)[:, None], seen_with(greys, vision)[None, :])
    assert apart.min() >= 11


def test_twenty_four_colours_stay_apart_in_normal_vision() -> None:
    assert distances(colours(24), "normal").min() >= 10


def test_no_two_of_two_hundred_colours_are_equal() -> None:
    assert len({*colours(200)}) == 200


def test_hexadecimal_and_back_changes_nothing() -> None:
    for rgb in colours(50):
        assert re.fullmatch("#[0-9a-f]{6}", hexadecimal(rgb))
        assert from_hexadecimal(hexadecimal(rgb)) == rgb
