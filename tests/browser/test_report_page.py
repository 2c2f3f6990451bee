"""The report's page as people use it, in a real browser."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import page_data
import pytest
from looking import CONTRASTS, LARGE, Open, pixels, settle, slide

from dff_onnx.report.labels_file import read_labels
from dff_onnx.report.page.fill import page

pytestmark = pytest.mark.slow

PATHS = "(items) => items.map((item) => item.querySelector('.path').textContent)"


def paths(tab: Any) -> list[str]:
    return list(tab.eval_on_selector_all("#grid > li", PATHS))


def download(tab: Any, to: Path) -> Path:
    with tab.expect_download() as caught:
        tab.get_by_role("button", name="Download labels.json").click()
    assert caught.value.suggested_filename == "labels.json"
    caught.value.save_as(to)
    return to


def test_names_that_were_typed_are_read_by_label(open_page: Open, tmp_path: Path) -> None:
    tab = open_page(page_data.run(), names=[["head + neck", None, None, "left, right"]])
    assert tab.input_value('[data-field="0"]') == "head, neck"
    tab.fill('[data-field="1"]', " torso ,Bäuche 🐘, torso,")
    tab.fill('[data-field="2"]', "<b>\"&'</b>")
    labels = read_labels(download(tab, tmp_path / "labels.json"), 4)
    # What nobody touched keeps its name; of a name that is typed, commas part it.
    assert labels.parts == (("head", "neck"), ("torso", "Bäuche 🐘"), ("<b>\"&'</b>",), ("left, right",))
    assert tab.inner_text("#command") == "dff-onnx label RUN --from labels.json"


def test_a_name_appears_wherever_its_concept_is_named_while_it_is_typed(open_page: Open) -> None:
    tab = open_page(page_data.run())
    assert tab.inner_text("#concept-1-title .name") == "concept 1"
    tab.locator('[data-field="1"]').press_sequentially("ear, tip")
    assert tab.inner_text("#concept-1-title .name") == "ear + tip"
    tab.fill('[data-field="1"]', "")
    assert tab.inner_text("#concept-1-title .name") == "concept 1"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 61, "61 characters"),
        ("ok, \u202etxt", "control character"),
        ("a\u2028b", "control character"),
        (",".join(str(i) for i in range(17)), "17 parts"),
    ],
)
def test_what_label_would_refuse_is_said_beside_the_field(open_page: Open, name: str, said: str) -> None:
    tab = open_page(page_data.run())
    tab.fill('[data-field="2"]', name)
    assert said in tab.inner_text("#problem-2") and tab.get_attribute('[data-field="2"]', "aria-invalid") == "true"
    tab.get_by_role("button", name="Download labels.json").click()
    assert "concept 2" in tab.inner_text("#labels-problem")
    assert tab.evaluate("document.activeElement.dataset.field") == "2"
    tab.fill('[data-field="2"]', "🐘" * 60)  # characters are counted as Python counts them
    assert tab.inner_text("#problem-2") == "" and tab.get_attribute('[data-field="2"]', "aria-invalid") == "false"


def test_pictures_are_sorted_by_scores_and_loss_and_filtered_by_path(open_page: Open) -> None:
    data = page_data.run()
    tab = open_page(data)
    names = [image["path"] for image in data["images"]]
    assert paths(tab) == names
    tab.select_option("#sort", "2")
    by_score = sorted(data["images"], key=lambda image: -image["levels"][0]["concepts"][2][0])
    assert paths(tab) == [image["path"] for image in by_score]
    tab.uncheck("#down")
    assert paths(tab) == [image["path"] for image in reversed(by_score)]
    tab.select_option("#sort", "loss")
    assert paths(tab) == [image["path"] for image in sorted(data["images"], key=lambda image: -image["loss"])]
    tab.select_option("#sort", "path")
    tab.fill("#filter", "PICTURE-003")
    assert paths(tab) == [names[3]] and tab.inner_text("#count") == "1 of 6 pictures."


def test_everything_can_be_done_with_the_keyboard(open_page: Open) -> None:
    tab = open_page(page_data.run())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the pictures"
    focused = "document.activeElement.id || document.activeElement.dataset.toggle || document.activeElement.value"
    reached = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate(focused))
        if tab.evaluate("document.activeElement.classList.contains('picture')"):
            break
    assert {"overlay", "opacity", "all", "none", "0", "1", "2", "3", "sort", "down", "filter"} <= set(reached)
    outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen
    tab.keyboard.press("Enter")
    assert tab.inner_text("#large-path") == "folder/picture-000.jpg"
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#large-path") == "folder/picture-001.jpg"
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Escape")
    assert not tab.is_visible("#large")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Open folder/picture-001.jpg"


def test_keys_go_on_working_where_a_button_has_just_been_switched_off(open_page: Open) -> None:
    tab = open_page(page_data.run())
    tab.locator("#grid .picture").nth(1).click()
    tab.locator("#previous").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#previous").is_disabled()
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#large-path") == "folder/picture-001.jpg"


def test_views_and_switches_follow_the_keyboard(open_page: Open) -> None:
    tab = open_page(page_data.run())
    overlay = pixels(tab)
    tab.locator('#view input[value="overlay"]').focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator('#view input[value="mask"]').is_checked()
    assert (pixels(tab) != overlay).any()
    tab.keyboard.press("ArrowLeft")
    tab.locator('#legend [data-toggle="0"]').focus()
    tab.keyboard.press("Space")
    assert (pixels(tab) != overlay).any()
    tab.keyboard.press("Space")
    assert (pixels(tab) == overlay).all()


def test_arrows_in_the_larger_view_change_the_view_where_the_focus_is_on_that(open_page: Open) -> None:
    tab = open_page(page_data.run())
    tab.locator("#grid .picture").first.click()
    tab.locator('#large-view input[value="overlay"]').focus()
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#large-path") == "folder/picture-000.jpg"
    assert tab.locator('#view input[value="mask"]').is_checked()


def test_the_larger_view_has_all_figures_and_the_file(open_page: Open) -> None:
    data = page_data.run()
    data["images"][0] |= {"overlay": "overlays/100 %/a#b?.png", "answers": [["tabby", 0.93]], "unexplained": True}
    data["images"][0]["levels"][0]["concepts"][1] = [0.123, 0.25, [[1, 2, 30, 40]] * 5]
    tab = open_page(data)
    tab.locator("#grid .picture").first.click()
    text = tab.inner_text("#large")
    for part in ("640 x 480 pixels", "not explained", "tabby 93 %", "0.12", "25 %", "1 2 30 40", "and 2 smaller"):
        assert part in text
    assert tab.get_attribute("#large a", "href") == "overlays/100%20%25/a%23b%3F.png"
    assert tab.get_attribute(LARGE, "aria-label") == "folder/picture-000.jpg with its concepts"


def test_a_concepts_page_can_be_linked_to(open_file: Open, tmp_path: Path) -> None:
    data = page_data.tree()
    path = tmp_path / "report.html"
    path.write_bytes(page(data, [[None] * level["k"] for level in data["levels"]]))
    tab = open_file(path, "#k3-concept-2")
    assert tab.inner_text("#level-figure").startswith("k = 3")
    assert tab.evaluate("document.activeElement.id") == "concept-2"
    tab.locator("#concept-2 .relation").click()  # its parent, one level up
    tab.wait_for_function("document.activeElement.id === 'concept-1'")
    assert tab.inner_text("#level-figure").startswith("k = 2")


def test_tables_are_sorted_by_their_headers(open_page: Open) -> None:
    tab = open_page(page_data.foreground())
    cells = "(cells) => cells.map((cell) => cell.textContent)"
    column = "#section-0 tbody td:nth-child(2)"
    assert tab.eval_on_selector_all(column, cells) == ["3.5", "12.25", "-1"]
    tab.get_by_role("button", name="quality").click()
    assert tab.eval_on_selector_all(column, cells) == ["-1", "3.5", "12.25"]
    tab.get_by_role("button", name="quality").click()
    assert tab.eval_on_selector_all(column, cells) == ["12.25", "3.5", "-1"]
    assert tab.get_attribute("#section-0 th:nth-child(2)", "aria-sort") == "descending"
    assert tab.eval_on_selector("#section-0 img", "(image) => image.naturalWidth") == 40


def test_pages_are_linked_with_each_other(open_file: Open, tmp_path: Path) -> None:
    files = ["report.html", "report-2.html"]
    for number, file in enumerate(files):
        data = page_data.run(3)
        data["page"] = {"number": number + 1, "files": files, "first": 3 * number, "pictures": 9, "shown": 6}
        (tmp_path / file).write_bytes(page(data, [[None] * 4]))
    tab = open_file(tmp_path / "report.html")
    assert "1 to 3 of 6 on 2 pages" in tab.inner_text("#count") and "the run has 9" in tab.inner_text("#count")
    tab.get_by_role("link", name="Next page").click()
    tab.wait_for_url("**/report-2.html")
    assert "4 to 6 of 6" in tab.inner_text("#count") and tab.inner_text("#pages [aria-current]") == "2"
    tab.get_by_role("link", name="Previous page").click()
    tab.wait_for_url("**/report.html")


def test_two_hundred_pictures_open_in_two_seconds(open_page: Open) -> None:
    """Asked three times: what else the machine does is not the page's."""
    data = page_data.run(200)
    taken = [float(open_page(data).get_attribute("html", "data-ready")) for _ in range(3)]
    assert min(taken) < 2000


def test_only_what_is_in_sight_is_drawn_again(open_page: Open) -> None:
    tab = open_page(page_data.run(60))
    count = "[...scenes.values()].filter((scene) => scene.drawn === version).length"
    slide(tab, "#opacity", 40)
    settle(tab)
    tab.wait_for_function("!scheduled")  # nothing is left to do
    drawn = tab.evaluate(count)
    assert 0 < drawn < 40
    tab.locator("#grid > li").nth(59).scroll_into_view_if_needed()
    settle(tab)
    assert tab.evaluate(count) > drawn


@pytest.mark.parametrize("make", [page_data.run, page_data.tree, page_data.class_maps], ids=["run", "tree", "cam"])
def test_a_phones_width_needs_no_scrolling_sideways(open_page: Open, make: Any) -> None:
    data = make()
    data["title"] = data["images"][0]["path"] = "a" * 200
    tab = open_page(data, viewport={"width": 360, "height": 740})
    width = "document.documentElement.scrollWidth"
    assert tab.evaluate(width) == 360
    assert not tab.is_visible("#view")
    tab.click("summary")
    assert tab.is_visible("#view") and tab.evaluate(width) == 360
    tab.click("summary")
    tab.locator("#grid .picture").first.click()
    assert tab.evaluate(width) == 360
    assert tab.eval_on_selector("#large", "(dialog) => dialog.scrollWidth <= dialog.clientWidth")


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_long_names_of_classes_stay_in_their_card_and_beside_the_picture(open_page: Open, width: int) -> None:
    data = page_data.class_maps()
    for image in data["images"]:
        image["answers"] = [["wire-haired fox terrier", 0.2]] * 20
        for concept in image["levels"][0]["table"]:
            concept["name"] = "wire-haired fox terrier " * 2
    tab = open_page(data, viewport={"width": width, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    inside = """(all) => all.every((one) =>
      one.getBoundingClientRect().right <= one.closest(".card").getBoundingClientRect().right + 1)"""
    assert tab.eval_on_selector_all(".score-text > :last-child", inside)
    tab.locator("#grid .picture").first.click()
    settle(tab)
    picture, side = (tab.locator(f".large-{name}").bounding_box() for name in ("picture", "side"))
    assert picture["y"] + picture["height"] <= side["y"] + 1 or picture["x"] + picture["width"] <= side["x"] + 1
    bottom = "(canvas) => canvas.getBoundingClientRect().bottom - canvas.parentElement.getBoundingClientRect().bottom"
    assert tab.eval_on_selector(LARGE, bottom) <= 0


def test_nothing_jumps_while_a_page_opens(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(page(page_data.run(200), [[None] * 4]))
    tab = browser.new_page(viewport={"width": 1280, "height": 860})
    tab.add_init_script(
        """window.moved = 0;
        const add = (list) => list.getEntries().forEach((one) => { moved += one.value; });
        new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });"""
    )
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    settle(tab)
    assert tab.evaluate("moved") < 0.05 and tab.is_visible("#grid")
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(open_page: Open, scheme: str) -> None:
    data = page_data.applied() | {"sections": page_data.foreground()["sections"]}
    tab = open_page(data, color_scheme=scheme)
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in ground[4:-1].split(",")) > 384) == (scheme == "light")
    tab.fill('[data-field="1"]', "x" * 61)
    texts = "h1, h2, h3, p, dt, dd, a:not(.skip), button:enabled, label, td, th, li, output, .chip, .badge, code"
    found = tab.eval_on_selector_all(texts, CONTRASTS)
    assert len(found) > 100 and [text for text, contrast in found if contrast < 4.5] == []


def test_whoever_hears_the_page_hears_what_is_there(open_page: Open) -> None:
    """Every control has a name, headings go down by one at most, ids are unique, pictures have a text."""
    data = page_data.applied() | {"sections": page_data.foreground()["sections"]}
    tab = open_page(data)
    tab.locator("#grid .picture").first.click()
    nameless = """(all) => all.filter((one) => {
      const labels = [...(one.labels || [])].map((label) => label.textContent.trim());
      return !(one.getAttribute("aria-label") || one.textContent.trim() || labels.some(Boolean));
    }).map((one) => one.outerHTML)"""
    assert tab.eval_on_selector_all("input, select, button, a, summary", nameless) == []
    levels = [
        int(level) for level in tab.eval_on_selector_all("h1, h2, h3, h4", "(all) => all.map((h) => h.tagName[1])")
    ]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = tab.eval_on_selector_all("[id]", "(all) => all.map((one) => one.id)")
    assert len(ids) == len(set(ids))
    pointed = """(all) => all.flatMap((one) =>
      (one.getAttribute("aria-labelledby") || one.getAttribute("aria-describedby")).split(" "))"""
    assert set(tab.eval_on_selector_all("[aria-labelledby], [aria-describedby]", pointed)) <= set(ids)
    assert tab.locator("img:not([alt]), svg:not([aria-label])").count() == 0
