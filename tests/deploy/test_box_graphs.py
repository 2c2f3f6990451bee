"""Boxes inside a graph, beside those of enlarged masks."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from graphs import run
from numpy.typing import NDArray

from dff_onnx.deploy.boxes import add_mask_boxes
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.deploy.regions import add_region_boxes
from dff_onnx.maps.upsample import upsample

Floats = NDArray[np.float32]
Add = Callable[..., None]
SIZE = (96, 128)


def graph_boxes(add: Add, maps: Floats, thresholds: Floats, size: tuple[int, int] = SIZE) -> NDArray[np.int32]:
    nodes = Nodes()
    picture = Picture.of(nodes, "image", "maps")
    add(nodes, "maps", nodes.held(thresholds), picture, "found")
    feed = {"image": np.zeros((len(maps), *size, 3), np.uint8), "maps": maps}
    return run(nodes, feed, "found")[0]


def masks_of(maps: Floats, thresholds: Floats, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    return upsample(maps, *size) >= thresholds[..., None]


def tight(mask: NDArray[np.bool_]) -> list[int]:
    y, x = np.nonzero(mask)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] if len(x) else [0, 0, 0, 0]


def largest(mask: NDArray[np.bool_]) -> list[int]:
    """OpenCV's largest component; of equal ones the first in raster order."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return [0, 0, 0, 0]
    areas = stats[1:, cv2.CC_STAT_AREA]
    tied = np.flatnonzero(areas == areas.max()) + 1
    first = min(tied, key=lambda label: int(np.flatnonzero(labels.ravel() == label)[0]))
    x, y, width, height = stats[first, :4].tolist()
    return [x, y, x + width, y + height]


def near(maps: Floats, thresholds: Floats, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    """Of each map, whether a value lies so near to the threshold that rounding decides."""
    return (np.abs(upsample(maps, *size) - thresholds[..., None]) < 1e-5).any(axis=(2, 3))


KINDS: dict[str, Callable[[np.random.Generator], Floats]] = {
    "noise": lambda rng: rng.random((6, 4, 6, 8), np.float32),
    "much is on": lambda rng: rng.random((6, 4, 6, 8), np.float32) ** 0.3,
    "little is on": lambda rng: rng.random((6, 4, 12, 9), np.float32) ** 6,
    "fine": lambda rng: rng.random((2, 4, 48, 32), np.float32),
    "one cell": lambda rng: rng.random((2, 4, 1, 1), np.float32),
    "negative values": lambda rng: rng.normal(0, 1, (6, 4, 7, 7)).astype(np.float32),
    "checks": lambda rng: (np.indices((1, 4, 6, 8)).sum(axis=0) % 2 + 0.01 * rng.random((1, 4, 6, 8))).astype("f4"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("add", "expected"), [(add_mask_boxes, tight), (add_region_boxes, largest)])
def test_boxes_are_those_of_the_enlarged_masks(
    kind: str, add: Add, expected: Callable[[NDArray[np.bool_]], list[int]]
) -> None:
    compared = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        maps = KINDS[kind](rng)
        thresholds = np.quantile(maps, rng.uniform(0.2, 0.95, maps.shape[1])).astype(np.float32).reshape(1, -1, 1)
        found, unsure = graph_boxes(add, maps, thresholds), near(maps, thresholds)
        for box, mask, skipped in zip(
            found.reshape(-1, 4), masks_of(maps, thresholds).reshape(-1, *SIZE), unsure.reshape(-1), strict=True
        ):
            if not skipped:
                assert box.tolist() == expected(mask)
                compared += 1
    assert compared >= 3


def test_each_picture_may_have_a_threshold_of_its_own() -> None:
    maps = np.tile(np.random.default_rng(0).random((1, 1, 6, 8), np.float32), (3, 1, 1, 1))
    thresholds = np.float32([0.3, 0.6, 0.85]).reshape(3, 1, 1)
    for add, expected in ((add_mask_boxes, tight), (add_region_boxes, largest)):
        found = graph_boxes(add, maps, thresholds)
        assert found[:, 0].tolist() == [expected(mask[0]) for mask in masks_of(maps, thresholds)]


def test_nothing_and_everything() -> None:
    maps = np.ones((2, 2, 5, 5), np.float32)
    thresholds = np.float32([2, 0.5]).reshape(1, 2, 1)
    for add in (add_mask_boxes, add_region_boxes):
        assert graph_boxes(add, maps, thresholds).tolist() == [[[0, 0, 0, 0], [0, 0, 128, 96]]] * 2


def test_a_region_as_long_as_can_be_is_one() -> None:
    """A snake of 600 cells in twenty bends, beside a block of half its size."""
    grid = np.zeros((40, 40), np.float32)
    grid[::2, :30] = 1
    grid[1:-1:4, 29] = grid[3:-1:4, 0] = 1
    grid[:20, 32:] = 1
    maps, thresholds, size = grid[None, None], np.full((1, 1, 1), 0.7, np.float32), (320, 320)
    expected = largest(masks_of(maps, thresholds, size)[0, 0])
    assert expected[2] < 250 and expected[3] > 300  # the snake
    assert graph_boxes(add_region_boxes, maps, thresholds, size)[0, 0].tolist() == expected


def test_of_regions_of_equal_size_the_first_in_raster_order_counts() -> None:
    """The first row has another region before the later one of the two: ranks alone would mislead."""
    grid = np.zeros((9, 12), np.float32)
    grid[1, 1], grid[1, 5:7], grid[4, 1:3] = 1, 1, 1
    maps = grid[None, None]
    found = graph_boxes(add_region_boxes, maps, np.full((1, 1, 1), 0.6, np.float32), (9, 12))
    assert found[0, 0].tolist() == [5, 1, 7, 2]
