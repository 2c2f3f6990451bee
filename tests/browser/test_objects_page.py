"""objects.html in a real browser: it asks for nothing, fits the window, and can be read in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from looking import CONTRASTS

from dff_onnx.records import Box
from dff_onnx.report.objects_found import FoundObject, ObjectRegion, ObjectsFound
from dff_onnx.report.objects_page import ShownObject, objects_page
from dff_onnx.report.search_tiles import Tile

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

NAME = "a/" + "long-name-without-a-break" * 6 + '"><img src=x onerror=alert(1)>.jpg'


def made_page() -> bytes:
    """Two objects, one of whose pictures cannot be read."""
    rng = np.random.default_rng(0)
    regions = tuple(ObjectRegion(NAME, Box(5, 5, 60, 40), 0.5, 1.2, 1.0 - i / 10, i) for i in range(3))
    tiles = [Tile(NAME, "similarity 1.000", rng.integers(0, 255, (60, 90, 3), np.uint8), (60, 90)) for _ in range(3)]
    lost = Tile(NAME, "similarity 0.9", None, (1, 1))
    objects = tuple(FoundObject(number, regions) for number in (1, 2))
    found = ObjectsFound(objects, 12, 40, {"neighbours": 6}, ((NAME, "is gone"),))
    shown = [ShownObject(one, (tiles[0], tiles[1]), (tiles[2], lost)) for one in objects]
    return objects_page(found, "pictures", shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_asks_for_nothing_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    file = tmp_path / "objects.html"
    file.write_bytes(made_page())
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = list[str](), list[str]()
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(file.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()] and not said
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert tab.locator("section").count() == 2 and tab.locator("img").count() == 6
    assert tab.get_by_text("cannot be read", exact=True).count() == 2
    contrasts = tab.eval_on_selector_all("h1, h2, p, dt, dd", CONTRASTS)
    assert len(contrasts) > 10 and min(contrast for _, contrast in contrasts) >= 4.5
    tab.close()
