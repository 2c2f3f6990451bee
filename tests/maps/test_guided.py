from __future__ import annotations

from typing import Any

import array_api_strict
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dff_onnx.arrays.box_filter import box_mean
from dff_onnx.maps import shrink
from dff_onnx.maps.guided import guided_filter

DEVICE = array_api_strict.Device("device1")


def away(array: NDArray[Any]) -> Any:
    return array_api_strict.asarray(array, device=DEVICE)


def home(array: Any) -> NDArray[Any]:
    assert array.device == DEVICE
    return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))


def scene(height: int = 90, width: int = 120, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A picture `(3, h, w)` of smooth colours with a sharp disc, and a rough map of the disc."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.random((height, width, 3), np.float32), (0, 0), 4)
    y, x = np.mgrid[:height, :width]
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2
    picture[disc] = 0.3 * picture[disc] + (0.6, 0.1, 0.2)
    rough = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 5) + 0.1 * rng.random((height, width), np.float32)
    return np.ascontiguousarray(picture.transpose(2, 0, 1)), rough.astype(np.float32)


@pytest.mark.parametrize("radius", [0, 1, 7, 40, 200])
def test_box_means_are_opencvs(radius: int) -> None:
    planes = np.random.default_rng(radius).random((2, 30, 41), np.float32)
    theirs = [cv2.blur(plane, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT) for plane in planes]
    np.testing.assert_allclose(box_mean(planes, radius), theirs, atol=1e-6)
    np.testing.assert_allclose(home(box_mean(away(planes), radius)), theirs, atol=1e-6)


@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("radius", [2, 8, 30])
def test_the_guided_filter_is_opencvs_in_float32(radius: int, eps: float) -> None:
    picture, rough = scene()
    guide = np.ascontiguousarray(picture.transpose(1, 2, 0)) * 255
    theirs = cv2.ximgproc.guidedFilter(guide, rough, radius, eps * 255**2)
    assert np.abs(guided_filter(rough[None], picture, radius, eps)[0] - theirs).max() < 1e-4


@pytest.mark.parametrize("eps", [1e-3, 1e-4, 1e-5])
def test_grey_pictures_keep_their_precision(eps: float) -> None:
    """Their channels are equal, so that the covariances' cofactors cancel."""
    y, x = np.mgrid[:90, :120]
    _, rough = scene()
    for grey in (scene()[0][:1], ((y // 8 + x // 8) % 2)[None]):
        picture = np.repeat(grey.astype(np.float32), 3, axis=0)
        precise = guided_filter(rough[None].astype(np.float64), picture.astype(np.float64), 7, eps)
        assert np.abs(guided_filter(rough[None], picture, 7, eps) - precise).max() < 1e-3


def test_the_guided_filter_needs_no_numpy() -> None:
    picture, rough = scene()
    for subsample in (1, 4):
        ours = guided_filter(rough[None], picture, 8, 1e-3, subsample)
        np.testing.assert_allclose(
            home(guided_filter(away(rough[None]), away(picture), 8, 1e-3, subsample)), ours, atol=1e-4
        )


def test_the_subsampled_filter_is_near_the_exact_one() -> None:
    picture, rough = scene(180, 240)
    exact, fast = (guided_filter(rough[None], picture, 14, 1e-3, subsample) for subsample in (1, 4))
    assert np.abs(exact - fast).mean() < 0.01


def test_a_map_that_is_constant_stays_so() -> None:
    picture, _ = scene()
    np.testing.assert_allclose(guided_filter(np.full((1, 90, 120), 0.7, np.float32), picture, 9, 1e-4), 0.7, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(10, 15), (30, 41), (7, 40), (30, 13)])
def test_shrinking_averages_areas_as_opencv_does(height: int, width: int) -> None:
    maps = np.random.default_rng(0).random((30, 41)).astype(np.float32)
    if (height, width) == (30, 41):
        np.testing.assert_allclose(shrink(maps, height, width), maps, atol=1e-6)
    theirs = cv2.resize(maps, (width, height), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(shrink(maps, height, width), theirs, atol=1e-5)
    np.testing.assert_allclose(home(shrink(away(maps), height, width)), theirs, atol=1e-5)
