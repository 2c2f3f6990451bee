"""Regions of class maps against OpenCV's, and at their edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dff_onnx.cam.boxes import largest_box, map_regions, map_thresholds, upsampled_maxima
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.maps import regions_at, upsample
from dff_onnx.records import Box, Grid

SIZES = [Grid(375, 500), Grid(224, 224), Grid(64, 21), Grid(13, 13), Grid(5, 7)]


def smooth_maps(seed: int, m: int = 5, shape: tuple[int, int] = (13, 13)) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.stack([gaussian_filter(rng.normal(size=shape), 1.5) for _ in range(m)]).astype(np.float32)


def opencv_boxes(heat: NDArray[np.float32], size: Grid, fraction: float) -> list[tuple[Box, int]]:
    """Of OpenCV's own upsampling and components, largest first."""
    full = cv2.resize(heat, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    on = ((full > fraction * full.max()) & (full > 0)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(on, connectivity=8)
    found = [(Box(x, y, x + w, y + h), area) for x, y, w, h, area in stats[1:].tolist()]
    return sorted(found, key=lambda one: -one[1])


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_regions_are_opencvs(size: Grid, fraction: float) -> None:
    for seed in range(4):
        maps = smooth_maps(seed)
        for heat, found in zip(maps, map_regions(maps, size, fraction), strict=True):
            theirs = opencv_boxes(heat, size, fraction)
            assert {(region.box, region.area) for region in found.regions} == set(theirs)
            assert largest_box(found) == theirs[0][0]
            assert found.share == pytest.approx(sum(area for _, area in theirs) / size.cells)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_maximum_is_that_of_the_whole_upsampled_map(size: Grid) -> None:
    for shape in ((13, 13), (7, 7), (1, 9), (14, 1), (60, 80)):
        maps = smooth_maps(3, 4, shape)
        whole = upsample(maps, size.height, size.width).max(axis=(1, 2))
        np.testing.assert_allclose(upsampled_maxima(maps, size), whole, rtol=2e-6)


def test_a_fifth_of_the_maximum_is_where_a_map_is_cut() -> None:
    maps = np.array([[[1.0, 0.21, 0.19, 0.0]]], np.float32)
    assert largest_box(map_regions(maps, Grid(1, 4))[0]) == Box(0, 0, 2, 1)


def test_a_value_must_exceed_the_fraction_and_not_only_reach_it() -> None:
    maps = np.array([[[1.0, 0.25, 0.25000003, 0.0]]], np.float32)
    assert [region.box for region in map_regions(maps, Grid(1, 4), 0.25)[0].regions] == [
        Box(0, 0, 1, 1),
        Box(2, 0, 3, 1),
    ]
    assert map_thresholds(maps, Grid(1, 4), 0.25)[0] > 0.25


def test_the_fraction_is_of_the_upsampled_maximum() -> None:
    # The peak of 8 lies between two pixels of the picture: both have 6, whose half the neighbours reach.
    maps = np.array([[[0, 8, 0]]], np.float32)
    assert upsampled_maxima(maps, Grid(1, 6)).tolist() == [6.0]
    assert map_regions(maps, Grid(1, 6), 0.3)[0].regions[0].box == Box(1, 0, 5, 1)  # 2 of 6 is more than 0.3


def test_components_touch_by_corners_and_the_largest_comes_first() -> None:
    heat = np.zeros((6, 6), np.float32)
    heat[0, 0] = 5
    heat[2, 2] = heat[3, 3] = 1.5
    heat[5, 0] = 1
    (found,) = map_regions(heat[None], Grid(6, 6))
    assert [(region.box, region.area) for region in found.regions] == [(Box(2, 2, 4, 4), 2), (Box(0, 0, 1, 1), 1)]


def test_a_map_without_a_positive_value_has_an_empty_mask() -> None:
    for value in (0.0, -1.0, -1e-30):
        (found,) = map_regions(np.full((1, 3, 3), value, np.float32), Grid(9, 9))
        assert found.share == 0 and largest_box(found) is None
    negative_edge = np.array([[[-5, -5], [-5, 1]]], np.float32)
    assert largest_box(map_regions(negative_edge, Grid(2, 2))[0]) == Box(1, 1, 2, 2)


def test_a_constant_map_is_all_on_also_where_it_is_tiny() -> None:
    for value in (1.0, 1e-30, 1e30):
        (found,) = map_regions(np.full((1, 2, 2), value, np.float32), Grid(4, 6))
        assert found.share == 1 and largest_box(found) == Box(0, 0, 6, 4)


def test_many_pictures_of_many_sizes_are_each_as_if_alone() -> None:
    images = [(smooth_maps(seed, 1 + seed % 3), SIZES[seed % len(SIZES)]) for seed in range(70)]
    together = list(regions_at((maps, map_thresholds(maps, size, 0.2), size) for maps, size in images))
    assert together == [map_regions(maps, size) for maps, size in images]
    assert list(regions_at([])) == []


def test_pictures_too_large_are_worked_on_at_2048_and_scaled_back() -> None:
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 1:3, 1:3] = 1
    small, large = (map_regions(heat, Grid(side, side))[0] for side in (2048, 8192))
    scaled = [4 * corner for corner in (small.regions[0].box.x0, small.regions[0].box.y1)]
    box = large.regions[0].box
    assert [box.x0, box.y1] == scaled and large.regions[0].area == 16 * small.regions[0].area


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_maps_that_are_not_finite_or_not_three_axes_are_refused(bad: float) -> None:
    for maps in (np.full((1, 2, 2), bad, np.float32), np.zeros((2, 2), np.float32), np.zeros((1, 0, 2), np.float32)):
        with pytest.raises(ArrayError, match="class maps: finite maps"):
            map_regions(maps, Grid(4, 4))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_fraction_that_cannot_be_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="a share of the maximum"):
        map_regions(np.ones((1, 2, 2), np.float32), Grid(4, 4), fraction)
