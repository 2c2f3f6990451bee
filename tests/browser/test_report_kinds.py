"""Every kind of report opens, and hostile texts stay texts, in a real browser."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import page_data
import pytest
from looking import Open, pixels, view

from dff_onnx.report.page.fill import page

pytestmark = pytest.mark.slow

HOSTILE = [
    "<script>document.title = 'run'</script>",
    "</script><script>document.title = 'run'</script>",
    "<img src=x onerror=\"document.title = 'run'\">",
    "<!--<script>",
    "\"'><b onclick=x>&lt;&amp;",
    "\u202egpj.exe",
    "\u2028\u2029\x00\x7f{{data}}",
    "lone \udcff byte",
    "javascript:document.title='run'",
]


def whole(text: str) -> str:
    """As browsers have it: what is no character is replaced by one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def hostile(data: dict[str, Any]) -> dict[str, Any]:
    """The same data with such texts wherever a text may stand; each picture has one of them."""
    text = " ".join(HOSTILE)
    data["title"] = text
    data["facts"] = [[text, text]]
    data["foot"] = [{"title": text, "rows": [[text, text]]}]
    data["sections"] = [{"title": text, "note": text, "columns": [text], "rows": [[text]], "plots": []}]
    for path, image in zip(HOSTILE, data["images"], strict=False):
        image |= {"path": path, "overlay": f"overlays/{path}.png", "answers": [[text, 0.5]]}
        for part in image["levels"]:
            for concept in part.get("table", []):
                concept["name"] = text
    for level in data["levels"]:
        level["label"] = level["label"] and text
        for concept in level["concepts"]:
            concept["classes"] = [[text, 1.5]]
    return data


@pytest.mark.parametrize("make", [page_data.run, page_data.class_maps], ids=["run", "cam"])
def test_hostile_texts_stay_texts(open_page: Open, tmp_path: Path, make: Any) -> None:
    data = hostile(make(len(HOSTILE)))
    tab = open_page(data, names=[HOSTILE[: one["k"]] if one["concepts"] else [] for one in data["levels"]])
    tab.locator("#grid .picture").first.click()
    for number, path in enumerate(HOSTILE):
        assert whole(tab.text_content("#large-path")) == whole(path)
        assert whole(tab.text_content(f"#grid > li:nth-child({number + 1}) .path")) == whole(path)
        tab.keyboard.press("ArrowRight")
    assert tab.title() != "run"
    assert tab.locator("script").count() == 3 and tab.locator("b, img, iframe").count() == 0
    assert tab.locator("[style*=script], [onclick], [onerror]").count() == 0
    links = tab.eval_on_selector_all("a[href]", "(all) => all.map((a) => a.getAttribute('href'))")
    assert all(link.startswith(("#", "overlays/", "report")) for link in links)
    parser = Tags()
    parser.feed((tmp_path / "report.html").read_text("utf-8"))
    scripts = [attributes for tag, attributes in parser.found if tag == "script"]
    assert [one.get("id") for one in scripts] == ["names", "data", None]
    assert not any(name.startswith("on") or name == "style" for _, one in parser.found for name in one)


@pytest.mark.parametrize("path", ["//example.org/x.png", "/etc/x.png", "../../x.png", "overlays/../../x.png"])
def test_an_overlay_that_lies_elsewhere_has_no_link(open_page: Open, path: str) -> None:
    data = page_data.run(1)
    data["images"][0]["overlay"] = path
    tab = open_page(data)
    tab.locator("#grid .picture").first.click()
    assert tab.locator("#large a").count() == 0


def test_the_page_carries_its_data_as_it_was_given(open_page: Open) -> None:
    data = hostile(page_data.run(2))
    tab = open_page(data)
    assert json.loads(tab.text_content("#data"))["sections"] == data["sections"]


def test_nothing_that_is_not_the_pages_own_runs(browser: Any, tmp_path: Path) -> None:
    """Should markup ever get in, the policy stops it: here it is put in by hand."""
    path = tmp_path / "report.html"
    content = page(page_data.run(1), [[None] * 4])
    foreign = b"<script>document.title = 'run'</script><img src='https://example.org/x.png'><h1"
    path.write_bytes(content.replace(b"<h1", foreign, 1))
    tab = browser.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    assert tab.title() != "run"
    assert sum("Content Security Policy" in line for line in said) == 2
    tab.close()


@pytest.mark.parametrize(
    "make",
    [page_data.tree, page_data.per_image, page_data.class_maps, page_data.foreground, page_data.applied],
    ids=["tree", "per image", "cam", "foreground", "apply"],
)
def test_every_kind_opens_in_every_view(open_page: Open, make: Any) -> None:
    data = make()
    tab = open_page(data)
    for mode in ("original", "overlay", "mask", "boxes"):
        view(tab, mode)
        assert pixels(tab).std() > 5
    tab.locator("#grid .picture").first.click()
    assert tab.locator("#large-table tbody tr").count() == len(data["images"][0]["levels"][data["start"]]["concepts"])


def test_pictures_with_tables_of_their_own_say_what_is_theirs(open_page: Open) -> None:
    tab = open_page(page_data.class_maps())
    assert tab.locator("#each").is_hidden() and tab.locator("#labels").is_hidden()
    assert tab.locator("#grid > li:nth-child(2) .score-name").all_inner_texts() == ["animal 1", "tabby"]
    assert tab.locator("#legend .name").all_inner_texts() == ["its own in each picture", "tabby"]
    before = pixels(tab)
    tab.get_by_label("Show class 1").first.uncheck()
    assert (pixels(tab) != before).any()


def test_what_a_bank_does_not_explain_is_marked(open_page: Open) -> None:
    tab = open_page(page_data.applied())
    assert tab.locator("#grid > li:nth-child(2) .badge").inner_text() == "not explained"
    assert tab.locator("#grid .badge").count() == 1
    text = tab.inner_text("#legend > li:first-child")
    for part in (
        "concept 2 of the bank, cosine 0.987",
        "0.30 (0.21 to 0.40); random concept 0.02",
        "tabby +3.2, lynx -0.5",
    ):
        assert part in text


def test_a_legend_says_what_its_scale_refers_to(open_page: Open) -> None:
    tab = open_page(page_data.run())
    assert "over the whole set" in tab.inner_text("#scale")
    assert "mask from 1.2" in tab.inner_text("#legend > li:first-child") and "peak 3" in tab.inner_text("#legend")
    tab = open_page(page_data.per_image())
    assert "in each picture" in tab.inner_text("#scale")


def test_a_report_without_pictures_says_so(open_page: Open) -> None:
    data = page_data.run(0)
    for concept in data["levels"][0]["concepts"]:
        concept["top"] = []
    tab = open_page(data)
    assert "shows no pictures" in tab.inner_text("#count")
    assert tab.locator("#tools").is_hidden()


def test_pictures_of_other_pages_are_shown_where_a_concept_needs_them(open_page: Open) -> None:
    data = page_data.run(4)
    data["images"], data["more"] = data["images"][:2], data["images"][2:]
    tab = open_page(data)
    assert tab.locator("#grid > li").count() == 2
    order = data["levels"][0]["concepts"][0]["top"]
    place = next(at for at, index in enumerate(order) if index >= 2)
    tab.locator(f"#concept-0 .strip li:nth-child({place + 1}) button").click()
    assert tab.inner_text("#large-path") == f"folder/picture-00{order[place]}.jpg"
    assert tab.locator("#next").is_disabled() and tab.locator("#previous").is_disabled()
