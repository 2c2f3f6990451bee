"""The parts of the torture table."""

from __future__ import annotations

from itertools import chain

import pytest
from torture_tier import pieces


@pytest.mark.parametrize(
    ("number", "most", "parts"), [(1000, 50, 8), (200_000, 25_000, 7), (50, 50, 4), (3, 50, 5), (0, 0, 1)]
)
def test_all_parts_together_are_the_whole(number: int, most: int, parts: int) -> None:
    cases = range(60, 60 + number)
    each = [pieces(cases, most, part, parts) for part in range(1, parts + 1)]
    assert list(chain(*chain(*each))) == list(cases)
    assert all(len(piece) <= most for piece in chain(*each))
    sizes = [sum(map(len, one)) for one in each]
    assert max(sizes) - min(sizes) <= 1
