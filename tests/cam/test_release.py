"""The released code's boxes: by hand, and against a transcription of its steps to OpenCV, which it was written for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from dff_onnx.cam import release
from dff_onnx.cam.release import release_boxes, ten_crop_map, ten_crops
from dff_onnx.errors import ArrayError
from dff_onnx.records import Box, Grid

SIDE = Grid(160, 160)


def drawn(*patches: tuple[Box, float], size: Grid = SIDE) -> NDArray[np.float32]:
    """A map of the picture's size. Patches at multiples of 8 pass through a JPEG unchanged."""
    heat = np.zeros((size.height, size.width), np.float32)
    for box, value in patches:
        heat[box.y0 : box.y1, box.x0 : box.x1] = value
    return heat


def opencv_boxes(grey: NDArray[np.uint8]) -> list[tuple[int, int, int, int]]:
    """`x y x1 y1` of each box by OpenCV's threshold, distance and contours, and the released code's list operations."""
    height, width = grey.shape
    found = []
    for level in (20, 100, 110):
        _, on = cv2.threshold(grey, level, 255, cv2.THRESH_BINARY)
        if on.any() and not on.all():
            distance = cv2.distanceTransform(on, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            near = np.minimum(np.floor(distance.astype(np.float64) * (255 / distance.max()) + 0.5), 255).astype(
                np.uint8
            )
            _, on = cv2.threshold(near, 10, 255, cv2.THRESH_BINARY)
        for contour in cv2.findContours(on, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]:
            x, y, w, h = cv2.boundingRect(contour)
            w, h = max(0, min(w, width - x - 5)), max(0, min(h, height - y - 5))
            found.append((min(x, width - 5), min(y, height - 5), w, h))
    found = sorted((box for box in found if box[2] * box[3]), key=lambda box: -box[2] * box[3])
    i = 0
    while i < len(found):
        j = i + 1
        while j < len(found):
            (ax, ay, aw, ah), (bx, by, bw, bh) = found[i], found[j]
            across = max(0, min(ax + aw, bx + bw) - max(ax, bx))
            down = max(0, min(ay + ah, by + bh) - max(ay, by))
            if across * down > int(aw * ah * 0.5):
                del found[j]
            j += 1
        i += 1
    return [(x, y, x + w, y + h) for x, y, w, h in found]


@pytest.mark.parametrize("seed", range(12))
def test_boxes_are_those_of_the_same_steps_in_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = Grid(int(rng.integers(40, 200)), int(rng.integers(40, 200)))
    heat = ndimage.gaussian_filter(rng.normal(size=(14, 14)), rng.uniform(0.4, 2)).astype(np.float32)
    theirs = opencv_boxes(release._through_jpeg(release._enlarged(heat, size)))
    ours = [(box.x0, box.y0, box.x1, box.y1) for box in release_boxes(heat, size)]
    # Boxes of one area have no order in the released code.
    assert sorted(ours) == sorted(theirs)
    assert [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in ours] == [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in theirs]


def test_the_distance_is_opencvs_precise_one_and_not_a_chamfer() -> None:
    on = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(90, 120)), 4) > 0
    ours = ndimage.distance_transform_edt(on)
    precise, chamfer = (cv2.distanceTransform(on.astype(np.uint8), cv2.DIST_L2, size) for size in (0, 3))
    np.testing.assert_allclose(ours, precise, rtol=1e-5)
    assert np.abs(ours - chamfer).max() > 0.1


def test_a_square_loses_the_pixels_whose_distance_is_below_a_25th_of_its_largest() -> None:
    # 80 wide: distances 1 to 40, of which 1 becomes round(6.375) = 6 and goes, and 2 becomes 13 and stays.
    (loose, tight) = release_boxes(drawn((Box(40, 40, 120, 120), 1.0)), SIDE)
    assert loose == tight == Box(41, 41, 119, 119)
    # 40 wide: 1 becomes round(12.75) = 13: nothing goes.
    assert release_boxes(drawn((Box(40, 40, 80, 80), 1.0)), SIDE)[0] == Box(40, 40, 80, 80)


def test_one_thing_at_three_levels_gives_a_loose_and_a_tight_box() -> None:
    # Grey 64 is above 20 alone; in it 255 is above all three. Its box at 100 goes, the same at 110 is passed over.
    heat = drawn((Box(32, 32, 112, 72), 64 / 255), (Box(40, 32, 104, 72), 1.0))
    assert release_boxes(heat, SIDE) == (Box(32, 32, 112, 72), Box(40, 32, 104, 72))


def test_the_first_level_is_grey_20_and_must_be_exceeded() -> None:
    for value, boxes in ((20, 1), (21, 2)):
        heat = drawn((Box(0, 0, 8, 8), 1.0), (Box(64, 64, 104, 104), value / 255))
        assert len({box.x0 >= 64 for box in release_boxes(heat, SIDE)}) == boxes


def test_a_hole_has_a_box_of_its_own() -> None:
    heat = drawn((Box(16, 16, 144, 144), 1.0), (Box(56, 56, 104, 104), 0.0))
    boxes = release_boxes(heat, SIDE)
    # The largest distance is 23, in the ring's corners: 1 becomes 11 and stays. The hole's box has its lining.
    assert boxes[0] == Box(16, 16, 144, 144) and Box(55, 55, 105, 105) in boxes


def test_boxes_end_5_pixels_before_the_right_and_the_lower_border() -> None:
    whole = release_boxes(np.ones((3, 3), np.float32), SIDE)
    assert whole == (Box(0, 0, 155, 155),) * 2
    # There is no outside behind the picture's border: distances are up to 40, and one pixel goes.
    assert release_boxes(drawn((Box(120, 120, 160, 160), 1.0)), SIDE)[0] == Box(121, 121, 155, 155)
    assert release_boxes(drawn((Box(0, 0, 40, 40), 1.0)), SIDE)[0] == Box(0, 0, 39, 39)
    assert release_boxes(np.ones((2, 2), np.float32), Grid(5, 5)) == ()


def test_a_map_without_a_positive_value_has_no_box() -> None:
    for value in (0.0, -3.0):
        assert release_boxes(np.full((7, 7), value, np.float32), SIDE) == ()


def test_boxes_apart_are_all_there_largest_first() -> None:
    heat = drawn((Box(8, 8, 40, 40), 1.0), (Box(80, 80, 128, 128), 1.0))
    boxes = release_boxes(heat, SIDE)
    assert boxes[0] == Box(80, 80, 128, 128) and Box(8, 8, 40, 40) in boxes
    assert [box.area for box in boxes] == sorted((box.area for box in boxes), reverse=True)


def test_a_large_picture_is_worked_on_at_2048() -> None:
    (box, *_) = release_boxes(np.ones((3, 3), np.float32), Grid(4096, 2048))
    assert box == Box(0, 0, 2038, 4086)


def test_a_map_of_many_specks_is_done_before_long() -> None:
    heat = np.random.default_rng(0).random((120, 120)).astype(np.float32)
    assert len(release_boxes(heat, Grid(120, 120))) > 100


def test_ten_crops_are_in_caffes_order_and_mirrored_from_left_to_right() -> None:
    pixels = np.zeros((256, 256, 3), np.uint8)
    for value, (y, x) in enumerate([(0, 0), (0, 255), (255, 0), (255, 255), (16, 16)], 1):
        pixels[y, x] = value
    crops = ten_crops(pixels)
    assert crops.shape == (10, 224, 224, 3)
    assert crops[0][0, 0, 0] == 1 and crops[1][0, -1, 0] == 2 and crops[2][-1, 0, 0] == 3 and crops[3][-1, -1, 0] == 4
    assert crops[4][0, 0, 0] == 5
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])


def test_maps_of_ten_crops_are_put_back_where_they_were() -> None:
    rng = np.random.default_rng(0)
    field = rng.normal(size=(256, 256, 2)).astype(np.float32)
    maps = np.moveaxis(ten_crops(field), -1, 1)
    covered = ten_crop_map(np.moveaxis(ten_crops(np.ones_like(field)), -1, 1))
    np.testing.assert_allclose(ten_crop_map(maps), np.abs(np.moveaxis(field, -1, 0)) * covered, rtol=1e-5)
    assert covered[0, 0, 0] == 2 and covered[0, 128, 128] == 10 and covered[0, 16, 0] == 2


def test_signs_are_lost_crop_by_crop() -> None:
    maps = np.ones((10, 1, 4, 4), np.float32)
    maps[::2] = -1
    assert ten_crop_map(maps)[0, 128, 128] == 10


def test_what_is_no_map_of_ten_crops_is_refused() -> None:
    with pytest.raises(ArrayError, match="of ten crops are needed"):
        ten_crop_map(np.zeros((9, 1, 4, 4), np.float32))
    with pytest.raises(ArrayError, match="of ten crops are needed"):
        ten_crop_map(np.full((10, 1, 4, 4), np.nan, np.float32))
    with pytest.raises(ArrayError, match="256 x 256 pixels are needed"):
        ten_crops(np.zeros((224, 224, 3), np.uint8))
    for heat in (np.zeros((1, 4, 4), np.float32), np.full((4, 4), np.inf, np.float32), np.zeros((0, 4), np.float32)):
        with pytest.raises(ArrayError, match="one finite map"):
            release_boxes(heat, SIDE)
