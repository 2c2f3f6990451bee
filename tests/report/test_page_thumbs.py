"""Thumbnails and maps keep what they show, and fit."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dff_onnx.maps import shrink
from dff_onnx.report.page.thumbs import SIDE, STEPS, small_maps, thumbnail

NOISE = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)


def opened(text: str | None) -> Image.Image:
    assert text is not None
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["JPEG"])


@pytest.mark.parametrize(("shape", "size"), [((600, 800), (320, 240)), ((90, 60), (60, 90)), ((1, 1000), (320, 1))])
def test_a_thumbnail_keeps_the_aspect_and_is_never_enlarged(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert opened(thumbnail(np.full((*shape, 3), 90, np.uint8), 10**6)).size == size


def test_a_thumbnail_shows_the_picture() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 640, 3)).copy()
    shown = np.asarray(opened(thumbnail(ramp, 10**6)).convert("L"), int)
    assert np.abs(shown - np.linspace(0, 255, SIDE)).max() < 6


@pytest.mark.parametrize("most", [200_000, 60_000, 40_000, 20_000, 10_000, 5_000, 2_000])
def test_noise_becomes_coarser_until_it_fits(most: int) -> None:
    text = thumbnail(NOISE, most)
    assert text is not None and len(text) <= most
    width, height = opened(text).size
    assert width in {side for side, _ in STEPS} and height == round(width * 3 / 4)


def test_where_nothing_fits_there_is_no_thumbnail() -> None:
    assert thumbnail(NOISE, 100) is None and thumbnail(NOISE, -5) is None


def test_the_peak_over_the_set_becomes_255_and_what_is_negative_is_off() -> None:
    maps = np.array([[[1.0, 2.0, -3.0]], [[0.0, 0.0, 0.0]]], np.float32)
    assert small_maps(maps, (4.0, 0.0), 100).tolist() == [[[64, 128, 0]], [[0, 0, 0]]]


def test_sharpened_maps_stay_as_they_are_unless_they_are_too_large() -> None:
    maps = np.random.default_rng(1).integers(0, 256, (2, 40, 60), np.uint8)
    assert np.array_equal(small_maps(maps, (7.0, 7.0), 2400), maps)
    small = small_maps(maps, (7.0, 7.0), 600)
    assert small.shape == (2, 20, 30)
    assert np.abs(small - shrink(maps.astype(np.float32), 20, 30)).max() <= 0.51


@pytest.mark.parametrize("shape", [(56, 56), (200, 3), (3, 200), (1, 500), (512, 384)])
@pytest.mark.parametrize("cells", [1, 2, 6, 100, 600])
def test_maps_have_no_more_cells_than_they_may(shape: tuple[int, int], cells: int) -> None:
    h, w = small_maps(np.ones((3, *shape), np.float32), (1.0,) * 3, cells).shape[1:]
    assert h * w <= cells and 1 <= h <= shape[0] and 1 <= w <= shape[1]
