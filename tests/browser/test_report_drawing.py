"""What the page draws, in a real browser, beside the same in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import page_data
import pytest
from looking import CARD, LARGE, Open, maps_of, pixels, settle, slide, thumb_of, toggle, view
from numpy.typing import NDArray

from dff_onnx.maps import upsample
from dff_onnx.report.overlays import overlay
from dff_onnx.report.palette import colour

pytestmark = pytest.mark.slow


def in_python(picture: dict[str, Any], numbers: tuple[int, ...], opacity: float = 1.0) -> NDArray[np.int16]:
    shown, heat = thumb_of(picture), maps_of(picture)[list(numbers)] * np.float32(opacity)
    drawn = overlay(shown, heat, [colour(j) for j in numbers], [""] * len(numbers), "")
    return drawn[: shown.shape[0]].astype(np.int16)


def test_an_overlay_is_that_of_the_overlay_files(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    for place in (1, 2, 3):
        difference = np.abs(pixels(tab, CARD.format(place)) - in_python(data["images"][place - 1], (0, 1, 2, 3)))
        assert difference.mean() < 1.5 and np.percentile(difference, 99.9) < 12


def test_a_switch_takes_its_concept_alone_out_of_every_picture(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    before = pixels(tab)
    toggle(tab, 2)
    for place in (1, 2):
        difference = np.abs(pixels(tab, CARD.format(place)) - in_python(data["images"][place - 1], (0, 1, 3)))
        assert difference.mean() < 1.5
    assert np.abs(pixels(tab) - before).mean() > 2
    toggle(tab, 2)
    assert np.array_equal(pixels(tab), before)


def test_only_none_and_all_switch_many_concepts_at_once(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    everything = pixels(tab)
    tab.get_by_role("button", name="Only concept 1").click()
    assert np.abs(pixels(tab) - in_python(data["images"][0], (1,))).mean() < 1.5
    tab.click("#none")
    nothing = pixels(tab)
    assert (nothing.max(axis=2) - nothing.min(axis=2)).max() <= 1 and nothing.max() <= 0.6 * 255
    tab.click("#all")
    assert np.array_equal(pixels(tab), everything)


def test_opacity_multiplies_the_heat(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    slide(tab, "#opacity", 50)
    assert np.abs(pixels(tab) - in_python(data["images"][0], (0, 1, 2, 3), opacity=0.5)).mean() < 1.5
    assert tab.inner_text("#opacity-figure") == "50 %"


def test_the_original_is_the_picture(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    view(tab, "original")
    assert np.abs(pixels(tab) - thumb_of(data["images"][0])).mean() < 1


def test_a_mask_is_where_the_enlarged_map_reaches_the_threshold(open_page: Open) -> None:
    """Inside, the picture keeps some of its colour; outside, it is grey."""
    data = page_data.run()
    tab = open_page(data)
    view(tab, "mask")
    for number in range(4):
        tab.get_by_role("button", name=f"Only concept {number}").click()
        drawn = pixels(tab)
        heat = upsample(maps_of(data["images"][0])[number], *drawn.shape[:2])
        coloured = drawn.max(axis=2) - drawn.min(axis=2) > 1
        outside = heat < 0.4
        # The concept's number stands on the mask, and may reach out of a small one.
        assert coloured[outside].mean() < 0.01 and coloured[~outside].mean() > 0.9


def test_a_box_is_drawn_where_the_data_says_with_the_concepts_number(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    view(tab, "boxes")
    tab.get_by_role("button", name="Only concept 0").click()
    drawn, picture = pixels(tab), data["images"][0]
    changed = np.abs(drawn - thumb_of(picture)).max(axis=2) > 40
    x0, y0, x1, y1 = (side // 2 for side in picture["levels"][0]["concepts"][0][2][0])
    rows, columns = np.nonzero(changed)
    tag = 16  # pixels that the number takes
    assert abs(rows.min() - y0) <= tag and abs(columns.min() - x0) <= 3
    assert abs(rows.max() - y1) <= 3 and abs(columns.max() - x1) <= 3
    inside = changed[y0 + 20 : y1 - 6, x0 + 6 : x1 - 6]
    assert inside.mean() < 0.2


def test_the_larger_view_shows_the_same_and_switches_concepts_as_well(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    tab.get_by_role("button", name="Open folder/picture-000.jpg").first.click()
    large = pixels(tab, LARGE)
    assert large.shape[:2] == (720, 960)
    coarse = large.reshape(240, 3, 320, 3, 3).mean(axis=(1, 3))
    assert np.abs(coarse - in_python(data["images"][0], (0, 1, 2, 3))).mean() < 3
    tab.locator("#large-table [data-toggle]").nth(0).click()
    assert np.abs(pixels(tab, LARGE) - large).mean() > 1
    assert not tab.locator('#legend [data-toggle="0"]').is_checked()


def test_the_slider_changes_the_level(open_page: Open) -> None:
    data = page_data.tree()
    tab = open_page(data)
    assert tab.locator("#legend > li").count() == 2  # the data says which level comes first
    two = pixels(tab)
    slide(tab, "#level", 2)
    assert tab.locator("#legend > li").count() == 3 and "k = 3" in tab.inner_text("#level-figure")
    maps, picture = maps_of(data["images"][0], 2), thumb_of(data["images"][0])
    expected = overlay(picture, maps, [colour(j) for j in range(3)], [""] * 3, "")[: picture.shape[0]]
    assert np.abs(pixels(tab) - expected).mean() < 1.5
    tab.locator("#level").press("ArrowLeft")
    assert np.array_equal(pixels(tab), two)


def test_pictures_of_a_concepts_page_show_that_concept_alone(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    tab.locator("#concept-2").scroll_into_view_if_needed()
    settle(tab)
    first = data["images"][data["levels"][0]["concepts"][2]["top"][0]]
    shown = pixels(tab, "#concept-2 .strip li:first-child canvas")
    assert np.abs(shown - in_python(first, (2,))).mean() < 1.5


def test_a_picture_that_is_not_kept_is_a_grey_card_with_the_maps(open_page: Open) -> None:
    data = page_data.applied()
    tab = open_page(data)
    grey = {
        **data["images"][2],
        "thumb": page_data.text_of(page_data.jpeg(page_data.Image.new("RGB", (320, 240), (128,) * 3))),
    }
    assert np.abs(pixels(tab, CARD.format(3)) - in_python(grey, (0, 1, 2, 3))).mean() < 2


def test_paper_shows_every_picture(open_page: Open) -> None:
    """Those out of sight are drawn when printing begins; a picture that is not drawn is transparent."""
    data = page_data.run(20, 2)
    tab = open_page(data, viewport={"width": 400, "height": 300})
    drawn = """(canvases) => {
      const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      return canvases.map((canvas) => {
        one.clearRect(0, 0, 1, 1);
        one.drawImage(canvas, 0, 0);
        return one.getImageData(0, 0, 1, 1).data[3] === 255;
      });
    }"""
    assert not all(tab.eval_on_selector_all("main canvas", drawn))
    tab.wait_for_timeout(300)  # thumbnails are read after the first sight
    printed = tab.pdf(format="A4", print_background=True)
    shown = tab.locator("main canvas").count()
    assert printed.startswith(b"%PDF") and printed.count(b"/DCTDecode") >= shown  # as JPEGs, not pixel by pixel
    assert tab.locator(".paper, .printed").count() == 0
    assert all(tab.eval_on_selector_all("main canvas", drawn))
