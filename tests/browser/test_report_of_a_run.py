"""The report of a real run, from the command to the names that come back, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from looking import CARD, Open, maps_of, pixels, thumb_of
from typer.testing import CliRunner

from dff_onnx.cli import app
from dff_onnx.report.overlays import overlay
from dff_onnx.report.palette import from_hexadecimal

pytestmark = pytest.mark.slow

BUNNY = Path(__file__).parents[2] / "examples" / "bunny"


def command(*words: str | Path) -> None:
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output


def test_names_typed_in_the_report_come_back_into_it(open_file: Open, tmp_path: Path) -> None:
    run, labels = tmp_path / "run", tmp_path / "labels.json"
    command("run", BUNNY, "-o", run, "-k", "3")
    tab = open_file(run / "report.html")
    assert tab.locator("#grid > li").count() == 8
    before = pixels(tab)
    data = json.loads(tab.text_content("#data"))
    first, colours = data["images"][0], [from_hexadecimal(one["colour"]) for one in data["levels"][0]["concepts"]]
    expected = overlay(thumb_of(first), maps_of(first), colours, [""] * 3, "")[: before.shape[0]]
    assert np.abs(before - expected).mean() < 1.5

    tab.fill('[data-field="1"]', "grass, bark")
    with tab.expect_download() as caught:
        tab.get_by_role("button", name="Download labels.json").click()
    caught.value.save_as(labels)
    command("label", run, "--from", labels)
    tab = open_file(run / "report.html")
    assert tab.input_value('[data-field="1"]') == "grass, bark"
    assert tab.inner_text("#concept-1-title .name") == "grass + bark"
    assert np.array_equal(pixels(tab, CARD.format(1)), before)


def test_a_link_to_an_overlay_leads_to_its_file(open_file: Open, tmp_path: Path) -> None:
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    for number, name in enumerate(["a#b ?%41.jpg", "ünï 🐘.jpg"]):
        (pictures / name).write_bytes(sorted(BUNNY.glob("*.jpg"))[number].read_bytes())
    command("run", pictures, "-o", run, "-k", "2")
    tab = open_file(run / "report.html")
    for number in range(2):
        tab.locator("#grid .picture").nth(number).click()
        link = tab.locator("#large a")
        address = link.evaluate("(link) => link.href")
        assert {path.as_uri() for path in (run / "overlays").iterdir()} >= {address}
        tab.keyboard.press("Escape")
