"""examples/deploy/web in a real browser: compiled files run in it, and their numbers are Python's."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from looking import CONTRASTS, decoded
from numpy.typing import NDArray
from PIL import Image

from dff_onnx import Backbone, factorize
from dff_onnx.arrays import to_numpy
from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.deploy import Form
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.compile_ import compile_bank, compile_fit

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy_examples"))

from deploy_files import BUNNY, NAMES, ROOT, TOLERANCE, Deployed, K, make_files, need_packages_of
from deploy_page import PATIENCE, POLICY, WEB, discover, drop, found_in, lay_out, served, told, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

NAMELESS = """(all) => all.filter((one) => {
  const labels = [...(one.labels || [])].map((label) => label.textContent.trim());
  return !(one.getAttribute("aria-label") || one.textContent.trim() || labels.some(Boolean));
}).map((one) => one.outerHTML)"""

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    need_packages_of("web")
    return make_files(tmp_path_factory.mktemp("deployed"))


@pytest.fixture
def site(deployed: Deployed, tmp_path: Path) -> Path:
    lay_out(deployed, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def open_site(browser: Browser, site: Path) -> Iterator[Open]:
    """Opens the page, and waits for the file beside it unless there is none.

    At the end of the test the page must have said nothing on its console and asked no other host for anything; that
    a file is not there, which a test may have taken away, the browser says by itself.
    """
    said, asked, contexts = list[str](), list[str](), list[Any]()
    with served(site) as address:

        def open_(ready: str = '#file:has-text("concepts.onnx: 4 concepts")', **options: Any) -> Page:
            contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | options)))
            tab = contexts[-1].new_page()
            tab.set_default_timeout(PATIENCE)
            tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
            tab.on("pageerror", lambda error: said.append(f"error: {error}"))
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto(f"{address}index.html")
            tab.wait_for_selector(ready)
            return tab

        yield open_
        for context in contexts:
            context.close()
    assert [line for line in said if "404 (File not found)" not in line] == []
    assert asked and [url for url in asked if not url.startswith(address)] == []


def drawn(tab: Page, number: int = 1) -> NDArray[np.int16]:
    """Pixels of a picture's canvas."""
    wait_for(tab, number)
    canvas = f"#pictures > :nth-child({number}) canvas"
    return decoded(tab.eval_on_selector(canvas, "(canvas) => canvas.toDataURL('image/png')"))


def test_dropped_pictures_get_the_numbers_that_python_gives_them(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    drop(tab, deployed.pictures)
    wait_for(tab, 9)
    found, expected = found_in(tab, "concepts"), deployed.expected
    assert [one["name"] for one in found] == [path.name for path in deployed.pictures]
    for number, one in enumerate(found):
        assert np.abs(one["heatmaps"] - expected["heatmaps"][number]).max() < TOLERANCE
        assert np.allclose(one["scores"], expected["scores"][number], atol=TOLERANCE)
        assert one["loss"] == pytest.approx(expected["loss"][number], abs=TOLERANCE)
        assert one["boxes"] == expected["boxes"][number].ravel().tolist()
    assert len(tab.workers) == 1  # and nothing of it was done by the page


def test_pictures_of_any_size_are_scaled_as_in_python(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    tab.set_input_files("#picture-files", sorted(BUNNY.glob("*.jpg"))[:2])
    wait_for(tab, 2)
    for one, expected in zip(found_in(tab, "concepts"), deployed.expected["scores"], strict=False):
        assert np.allclose(one["scores"], expected, atol=TOLERANCE)
    assert tab.eval_on_selector_all("canvas", "(all) => all.map((one) => [one.width, one.height])") == [[560, 315]] * 2


def test_a_picture_comes_with_its_concepts_scores_and_boxes(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    drop(tab, [deployed.pictures[2], deployed.pictures[8]])
    wait_for(tab, 2)
    scores, boxes = deployed.expected["scores"][2], deployed.expected["boxes"][2]
    cells = tab.locator("#pictures > :nth-child(1) tbody tr").all_inner_texts()
    for number, cell in enumerate(cells):
        for part in (NAMES[number] or "concept 3", f"{scores[number]:.2f}", " ".join(map(str, boxes[number]))):
            assert part in cell
    assert "explained by these concepts" in tab.inner_text("#pictures > :nth-child(1)")
    assert "not explained by these concepts" in tab.inner_text("#pictures > :nth-child(2) .badge")
    assert tab.inner_text("#status") == "2 pictures, 1 of them explained by these concepts"
    legend = tab.locator("#legend li").all_inner_texts()
    assert [re.split(r"\n", line)[1] for line in legend] == [name or "concept 3" for name in NAMES]
    assert tab.locator("img").count() == 0  # a name is a text, whatever it holds


def test_heat_maps_lie_over_the_pictures_in_the_colours_of_the_concepts(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    drop(tab, [deployed.pictures[2]])
    wait_for(tab, 1)
    tab.uncheck("#boxes")
    pixels, heat = drawn(tab), deployed.expected["heatmaps"][2]
    y, x = np.unravel_index(heat[0].argmax(), heat[0].shape)  # concept 0, #4bdaff, peaks in this picture
    red, green, blue = pixels[y, x]
    assert pixels.shape == (224, 224, 3) and pixels.std() > 10 and blue > green > red + 50


def test_switches_show_and_hide_concepts_and_boxes(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    drop(tab, [deployed.pictures[2]])
    whole = drawn(tab)
    switches = tab.locator("#legend input")
    seen = [whole]
    for number in range(K):
        switches.nth(number).uncheck()
        seen.append(drawn(tab))
    assert all((before != after).any() for before, after in pairwise(seen))
    assert np.ptp(seen[-1], axis=2).max() <= 1  # no concept, no colour: boxes go with their concepts
    for number in range(K):
        switches.nth(number).focus()
        tab.keyboard.press("Space")
    assert np.array_equal(drawn(tab), whole)
    tab.uncheck("#boxes")
    without = drawn(tab)
    assert (without != whole).any()
    tab.locator("#strength").fill("0")
    assert np.ptp(drawn(tab), axis=2).max() <= 1


def test_six_pictures_are_factorized_together_in_the_browser(open_site: Open, deployed: Deployed) -> None:
    """Heat maps agree less closely than losses: the descent ends at a tolerance, and rounding moves where."""
    tab = open_site()
    discover(tab)
    drop(tab, deployed.pictures[:6])
    wait_for(tab, 6)
    session = onnxruntime.InferenceSession(deployed.fit, providers=["CPUExecutionProvider"])
    heatmaps, scores, loss = session.run(["heatmaps", "scores", "loss"], {"image": deployed.pixels[:6]})
    for number, one in enumerate(found_in(tab, "discover")):
        assert np.abs(one["heatmaps"] - heatmaps[number]).max() < 5e-3
        assert np.allclose(one["scores"], scores[number], atol=5e-3)
        assert drawn(tab, number + 1).std() > 10
    backbone = Backbone.open(threads=1)
    A = np.concatenate([np.asarray(to_numpy(rows_of(backbone(one[None])))) for one in deployed.pixels[:6]])
    here = tab.evaluate("dff.discover.loss")
    assert here == pytest.approx(loss, rel=1e-4) and here == pytest.approx(factorize(A, K).loss, rel=1e-3)
    share = f"{100 * (1 - here):.1f}"
    assert f"6 pictures: 4 concepts explain {share} % of what the network sees" in tab.inner_text("#status")


def test_more_pictures_are_factorized_with_those_that_are_there(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    discover(tab)
    drop(tab, deployed.pictures[:2])
    wait_for(tab, 2)
    first = tab.evaluate("dff.discover.loss")
    drop(tab, deployed.pictures[2:4])
    drop(tab, deployed.pictures[4:6])  # while the browser is still at the ones before
    wait_for(tab, 6)
    assert tab.evaluate("dff.discover.loss") > first
    tab.click("#clear")
    assert tab.locator("#pictures > *").count() == 0 and tab.is_hidden("#legend-part")
    tab.get_by_label("Known concepts").check(force=True)  # where nothing was dropped
    assert tab.locator("#pictures > *").count() == 0


def test_another_file_looks_at_the_pictures_that_are_there(open_site: Open, deployed: Deployed) -> None:
    """One for pictures that keep their shape, with boxes of whole masks."""
    tab = open_site()
    drop(tab, [deployed.frame, deployed.pictures[0]])
    wait_for(tab, 2)
    tab.set_input_files("#model-file", deployed.other)
    tab.wait_for_selector('#file:has-text("other.onnx: 4 concepts, pictures of 128 pixels on the short side")')
    wait_for(tab, 2)
    one, expected = found_in(tab, "concepts")[0], deployed.expected_of_frame
    assert np.abs(one["heatmaps"] - expected["heatmaps"][0]).max() < TOLERANCE
    assert np.allclose(one["scores"], expected["scores"][0], atol=TOLERANCE)
    assert one["boxes"] == expected["mask_boxes"][0].ravel().tolist()
    x0, y0, x1, y1 = (side * 315 / 128 for side in one["boxes"][:4])  # told in pixels of the file
    assert f"{x0:.0f} {y0:.0f} {min(x1, 560):.0f} {y1:.0f}" in tab.inner_text("#pictures > :nth-child(1) tbody tr")


def test_files_that_cannot_be_used_are_refused_in_words(open_site: Open, deployed: Deployed, tmp_path: Path) -> None:
    bare, cut, odd = tmp_path / "bare.onnx", tmp_path / "cut.onnx", tmp_path / "odd.onnx"
    compile_bank(deployed.folder / "bank.npz", bare, Form(heatmaps=False))
    cut.write_bytes(deployed.concepts.read_bytes()[:-100])
    model = onnx.load(deployed.concepts)
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, odd)
    network = ROOT / "models" / "compact.onnx"
    sentences = {
        cut: "“cut.onnx” is no ONNX file, or is cut short.",
        network: "“compact.onnx” was not compiled by dff-onnx: make one with `dff-onnx compile`.",
        deployed.fit: "“fit.onnx” holds the factorization itself: open it under “Discover”.",
        bare: "“bare.onnx” was compiled without heat maps, which this page shows.",
        odd: "“odd.onnx” is refused by ONNX Runtime",
    }
    tab = open_site()
    for path, sentence in sentences.items():
        drop(tab, [path])
        tab.wait_for_selector(f'#problems:has-text("“{path.name}”")')
        assert told(tab).startswith(sentence)
    discover(tab)
    drop(tab, [deployed.concepts])
    assert told(tab) == "“concepts.onnx” holds concepts: open it under “Known concepts”."
    drop(tab, deployed.pictures[:2])  # the file before is still open
    wait_for(tab, 2)
    assert tab.inner_text("#problems") == ""


def test_a_file_that_says_what_cannot_be_does_no_harm(open_site: Open, deployed: Deployed, tmp_path: Path) -> None:
    model = onnx.load(deployed.concepts)
    [entry] = model.metadata_props
    fields = json.loads(entry.value)
    tab = open_site()
    for change in ({"colour": "red;--ink:red"}, {"number": 7}, {"name": ["face"]}):
        first, *others = fields["concepts"]
        entry.value = json.dumps(fields | {"concepts": [first | change, *others]})
        onnx.save(model, tmp_path / "odd.onnx")
        drop(tab, [tmp_path / "odd.onnx"])
        assert told(tab).startswith("“odd.onnx” says things of itself that cannot be read (a value cannot be)")
    entry.value = json.dumps(fields | {"concepts": fields["concepts"][:2]})
    onnx.save(model, tmp_path / "fewer.onnx")
    drop(tab, [tmp_path / "fewer.onnx", deployed.pictures[0]])
    assert told(tab) == "“0.png” meets a file of other outputs than it says."


def test_pictures_that_cannot_be_used_are_named_and_the_others_are_not_lost(
    open_site: Open, deployed: Deployed, tmp_path: Path
) -> None:
    broken = tmp_path / "broken <b>.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    tab = open_site()
    for mode in ("concepts", "discover"):
        if mode == "discover":
            discover(tab)
        drop(tab, [deployed.pictures[0], broken, deployed.pictures[1]])
        wait_for(tab, 2)
        assert told(tab) == "“broken <b>.jpg” cannot be decoded as a picture."
        assert [one["name"] for one in found_in(tab, mode)] == ["0.png", "1.png"]
        assert tab.locator("#problems b").count() == 0


def test_without_a_file_beside_it_the_page_says_how_to_make_one(
    open_site: Open, site: Path, deployed: Deployed
) -> None:
    (site / "concepts.onnx").unlink()
    tab = open_site('#file:has-text("No file is open. Put concepts.onnx beside this page")')
    drop(tab, deployed.pictures[:1])
    assert told(tab) == "Pictures need an open file: open an .onnx file that dff-onnx compiled first."
    drop(tab, [deployed.concepts, deployed.pictures[0]])  # both at once
    wait_for(tab, 1)
    assert tab.inner_text("#problems") == ""


def test_without_the_runtime_the_page_says_what_is_missing(open_site: Open, site: Path) -> None:
    (site / "node_modules").unlink()
    tab = open_site("#problems > li")
    assert told(tab).startswith("“concepts.onnx” cannot be used: ONNX Runtime is not there")
    discover_mode = tab.get_by_label("Discover")
    discover_mode.check(force=True)
    assert told(tab).startswith("“fit.onnx” cannot be used: ONNX Runtime is not there")


@pytest.mark.parametrize("mode", ["concepts", "discover"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_can_be_read_at_any_width_and_in_both_schemes(
    open_site: Open, deployed: Deployed, tmp_path: Path, mode: str, scheme: str, width: int
) -> None:
    tab = open_site(color_scheme=scheme, viewport={"width": width, "height": 860})
    if mode == "discover":
        discover(tab)
    long = tmp_path / f"{'long' * 30}.png"
    shutil.copy(deployed.pictures[2], long)
    drop(tab, [long, *deployed.pictures[:2], deployed.pictures[8]])
    wait_for(tab, 4)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    inside = "(all) => all.every((one) => one.scrollWidth <= one.clientWidth + 1)"
    assert tab.eval_on_selector_all(".card, .side, .drop", inside)
    texts = "h1, h2, h3, p, label, button, td, th, bdi, .badge, .chip, #status, .segments span"
    found = tab.eval_on_selector_all(texts, CONTRASTS)
    assert len(found) > 40 and [text for text, contrast in found if contrast < 4.5] == []
    tab.screenshot(path=tmp_path / "page.png", full_page=True)


def test_whoever_hears_the_page_or_has_no_mouse_can_use_it(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    drop(tab, deployed.pictures[:1])
    wait_for(tab, 1)
    assert tab.eval_on_selector_all("input, button", NAMELESS) == []
    assert tab.get_attribute("canvas", "aria-label") == "0.png with its concepts"
    ids = tab.eval_on_selector_all("[id]", "(all) => all.map((one) => one.id)")
    assert len(ids) == len(set(ids))
    reached = []
    for _ in range(12):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id || document.activeElement.value"))
    for control in ("concepts", "model-file", "boxes", "strength", "picture-files", "clear"):
        assert control in reached
    tab.locator('#modes input[value="concepts"]').focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_selector('#file:has-text("fit.onnx: 4 concepts")')


def test_a_picture_is_taken_from_the_chooser_with_a_click(open_site: Open, deployed: Deployed) -> None:
    tab = open_site()
    with tab.expect_file_chooser() as chooser:
        tab.get_by_text("Choose pictures").click()
    chooser.value.set_files(deployed.pictures[:3])
    wait_for(tab, 3)
    assert tab.inner_text("#status").startswith("3 pictures")


def test_the_readme_names_the_policy_and_the_files_of_the_runtime() -> None:
    """Whoever puts the page on a server needs both."""
    need_packages_of("web")
    readme = (WEB / "README.md").read_text(encoding="utf-8")
    assert POLICY[0] in readme
    for name in re.findall(r"`(ort[\w.-]+\.(?:mjs|wasm))`", readme):
        assert (WEB / "node_modules" / "onnxruntime-web" / "dist" / name).is_file()


def test_a_picture_of_another_shape_is_refused_where_pictures_go_in_together(
    open_site: Open, site: Path, tmp_path: Path
) -> None:
    (site / "fit.onnx").unlink()
    compile_fit(embedded_model(), site / "fit.onnx", K, resize=Resize("short", 64))
    frame = sorted(BUNNY.glob("*.jpg"))[0]
    wide, tall = tmp_path / "wide.jpg", tmp_path / "tall.png"
    shutil.copy(frame, wide)
    Image.fromarray(read_picture(frame, Resize("square", 64)).pixels).save(tall)
    tab = open_site()
    discover(tab)
    drop(tab, [wide])
    wait_for(tab, 1)
    drop(tab, [tall])
    assert told(tab).startswith("“tall.png” has another shape than the pictures before")
    assert [one["name"] for one in found_in(tab, "discover")] == ["wide.jpg"]
