"""What an overlay shows, pixel by pixel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from dff_onnx.records import Box
from dff_onnx.report.overlays import NARROWEST, STRIP, encode_png, overlay
from dff_onnx.report.palette import colour

Floats = NDArray[np.float64]
SET, OWN = "scale: whole set", "scale: this picture"


def photograph(height: int = 120, width: int = 200) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def blobs(k: int, h: int = 14, w: int = 14) -> NDArray[np.float32]:
    """Heat maps as a network gives them: a few cells wide, 1 at the highest."""
    rng = np.random.default_rng(k)
    y, x = np.mgrid[:h, :w]
    centres = rng.uniform(0, 1, (k, 2)) * (h, w)
    return np.exp([-((y - a) ** 2 + (x - b) ** 2) / 8 for a, b in centres]).astype(np.float32)


def drawn(picture: NDArray[np.uint8], heat: NDArray[np.float32], **options: Any) -> NDArray[np.uint8]:
    k = len(heat)
    return overlay(picture, heat, [colour(j) for j in range(k)], [f"concept {j}" for j in range(k)], SET, **options)


def bilinear(heat: NDArray[np.float32], height: int, width: int) -> Floats:
    """With half-pixel centres, by SciPy."""
    h, w = heat.shape[1:]
    at = np.meshgrid((np.arange(height) + 0.5) * h / height - 0.5, (np.arange(width) + 0.5) * w / width - 0.5)
    grid = np.stack([at[0].T, at[1].T])
    return np.stack([map_coordinates(one.astype(float), grid, order=1, mode="nearest") for one in heat])


def expected(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> Floats:
    """The documented picture, computed for every pixel by itself."""
    values = bilinear(heat, *picture.shape[:2])
    grey = (picture @ [0.299, 0.587, 0.114])[:, :, None]
    shares = values**4 / np.maximum((values**4).sum(axis=0), 1e-30)
    colours = np.array([colour(j) for j in range(len(heat))], float)
    paint = np.tensordot(shares, colours, (0, 0)) * (0.7 + 0.3 * 1.3 * grey / 255)
    cover = values.max(axis=0)[:, :, None]
    blended: Floats = np.minimum(0.6 * grey * (1 - cover) + paint * cover, 255)
    return blended


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("size", [(120, 200), (224, 224), (171, 333)])
def test_every_pixel_is_the_picture_in_grey_below_the_concepts_paint(k: int, size: tuple[int, int]) -> None:
    picture, heat = photograph(*size), blobs(k)
    difference = np.abs(drawn(picture, heat)[: size[0]] - expected(picture, heat))
    assert difference.mean() < 0.8 and difference.max() < 5


def test_maps_as_fine_as_the_picture_are_drawn_pixel_for_pixel() -> None:
    picture = photograph()
    heat = np.random.default_rng(1).random((3, 120, 200), np.float32)
    assert np.abs(drawn(picture, heat)[:120] - expected(picture, heat)).max() < 3


def test_where_no_concept_is_the_picture_is_grey_and_darker() -> None:
    shown = drawn(photograph(), np.zeros((2, 7, 7), np.float32))[:120].astype(int)
    assert (shown.max(axis=2) - shown.min(axis=2)).max() <= 1
    assert shown.max() <= 0.6 * 255 + 1


def test_at_its_peak_a_concept_is_its_colour_and_the_picture_shines_through() -> None:
    heat = np.ones((1, 7, 7), np.float32)
    for grey, light in ((0, 0.7), (128, 0.896), (255, 1.09)):
        shown = drawn(np.full((120, 200, 3), grey, np.uint8), heat)[60, 100]
        np.testing.assert_allclose(shown, np.minimum(np.array(colour(0)) * light, 255), atol=2)


def test_half_the_heat_covers_half() -> None:
    black = np.zeros((120, 200, 3), np.uint8)
    full, half = (drawn(black, np.full((1, 7, 7), heat, np.float32))[60, 100].astype(int) for heat in (1.0, 0.5))
    np.testing.assert_allclose(half, full / 2, atol=1)


def test_the_stronger_concept_gives_the_colour() -> None:
    heat = np.stack([np.full((7, 7), 0.4), np.full((7, 7), 0.8)]).astype(np.float32)
    black = np.zeros((120, 200, 3), np.uint8)
    weaker_off = np.stack([0 * heat[0], heat[1]])
    both, alone = (drawn(black, maps)[60, 100].astype(int) for maps in (heat, weaker_off))
    np.testing.assert_allclose(both, alone, atol=12)


def test_values_outside_0_and_1_are_taken_for_the_nearest() -> None:
    for flat, nearest in ((5, 1), (-3, 0)):
        one, other = (drawn(photograph(), np.full((1, 7, 7), value, np.float32)) for value in (flat, nearest))
        np.testing.assert_array_equal(one, other)


def test_the_inputs_are_left_alone() -> None:
    picture, heat = photograph(), blobs(3)
    before = picture.copy(), heat.copy()
    drawn(picture, heat, boxes=[Box(1, 1, 50, 50)] * 3)
    np.testing.assert_array_equal(picture, before[0])
    np.testing.assert_array_equal(heat, before[1])


def test_a_box_is_drawn_inside_its_half_open_bounds() -> None:
    picture, heat = np.zeros((120, 200, 3), np.uint8), np.zeros((2, 7, 7), np.float32)
    plain, boxed = drawn(picture, heat), drawn(picture, heat, boxes=[None, Box(20, 30, 90, 100)])
    rows, columns = np.nonzero(np.any(plain != boxed, axis=2))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (20, 30, 90, 100)
    assert tuple(boxed[30, 20]) == colour(1) and tuple(boxed[65, 55]) == tuple(plain[65, 55])


def test_the_legend_shows_every_colour() -> None:
    strip = drawn(photograph(), blobs(8))[120:].reshape(-1, 3).astype(int)
    for number in range(8):
        peak = np.array(colour(number)) * (0.7 + 0.39 * 128 / 255)
        assert np.abs(strip - np.minimum(peak, 255)).max(axis=1).min() <= 2


def test_the_legend_says_which_scale_and_name() -> None:
    def legend(label: str, scale: str) -> bytes:
        return overlay(photograph(), blobs(1), [colour(0)], [label], scale)[120:].tobytes()

    assert len({legend("a", SET), legend("a", OWN), legend("b", SET)}) == 3


@pytest.mark.parametrize(("width", "lowest", "highest"), [(224, 11, 14), (1024, 20, 30), (4000, 40, 60)])
def test_the_letters_grow_with_the_picture(width: int, lowest: int, highest: int) -> None:
    one = overlay(photograph(20, width), blobs(1), [colour(0)], ["Hg"], SET)[20:]
    lit = np.any(one > 100, axis=(1, 2))
    assert lowest * 0.7 <= lit.sum() <= highest * 1.5


def test_a_picture_narrower_than_its_legend_stands_in_the_middle() -> None:
    sheet = drawn(photograph(50, 20), blobs(2))
    assert sheet.shape[1] == NARROWEST
    left = (NARROWEST - 20) // 2
    assert (sheet[:50, :left] == STRIP).all() and (sheet[:50, left + 20 :] == STRIP).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_any_picture_has_an_overlay(size: tuple[int, int]) -> None:
    sheet = drawn(photograph(*size), blobs(3))
    assert sheet.shape[0] > size[0] and sheet.shape[1] == max(size[1], NARROWEST)


def test_many_concepts_take_more_lines() -> None:
    heights = [drawn(photograph(), blobs(k)).shape[0] for k in (1, 4, 12, 40)]
    assert heights == sorted(set(heights))


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=200))
@example("W" * 24)
def test_any_name_fits_into_the_legend(name: str) -> None:
    sheet = overlay(photograph(8, 60), blobs(1), [colour(0)], [name], SET)
    assert sheet.shape[1] == NARROWEST and sheet.shape[0] < 80
    assert (sheet[8:, -2:] == STRIP).all(), "nothing is cut by the edge"


def test_a_long_name_ends_in_an_ellipsis_and_not_at_the_edge() -> None:
    def legend(name: str) -> NDArray[np.uint8]:
        return overlay(photograph(8, 300), blobs(1), [colour(0)], [name], SET)[8:]

    np.testing.assert_array_equal(legend("W" * 30), legend("W" * 400))
    assert not np.array_equal(legend("i" * 24), legend("i" * 25))


def test_a_label_alone_has_more_room_than_one_among_others() -> None:
    def legend(*names: str) -> NDArray[np.uint8]:
        return overlay(photograph(8, 900), blobs(len(names)), [colour(0)] * len(names), names, SET)[8:]

    long = "American Staffordshire terrier"
    assert not np.array_equal(legend(long), legend(long + "s"))
    np.testing.assert_array_equal(legend(long, "a"), legend(long + "s", "a"))
    np.testing.assert_array_equal(legend("i" * 61), legend("i" * 62))


def test_the_png_is_lossless_rgb_and_always_the_same() -> None:
    pixels = drawn(photograph(), blobs(3))
    data = encode_png(pixels)
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG" and image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    assert data == encode_png(pixels.copy())
    assert set(image.info) == set(), "no date, no software"
