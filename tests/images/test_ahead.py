"""Pictures read ahead, and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dff_onnx.errors import ImageError
from dff_onnx.images import Picture, batches, prefetch
from dff_onnx.records import Grid


def test_a_picture_that_fails_takes_its_place() -> None:
    def load(n: int) -> int:
        if n == 1:
            raise ImageError(Path("x.jpg"), "is damaged")
        return n

    found = list(prefetch(range(3), load))
    assert [item for item, _ in found] == [0, 1, 2]
    assert isinstance(found[1][1], ImageError) and found[2][1] == 2


def test_neighbours_of_one_size_go_together() -> None:
    def of(height: int) -> Picture:
        return Picture(np.zeros((height, 8, 3), np.uint8), Grid(height, 8))

    heights = [8, 8, 8, 9, 8, 8]
    groups = [[item for item, _ in batch] for batch in batches(enumerate(map(of, heights)), 2)]
    assert groups == [[0, 1], [2], [3], [4, 5]]
