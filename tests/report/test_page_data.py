"""The data of the page: what `docs/report.md` says, whatever was found."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import findings
import numpy as np
import pytest
from pages import island, many, report_with

from dff_onnx.records import Grid
from dff_onnx.report.found import ClassWeight, Failure, Found
from dff_onnx.report.page.data import budget_of, entry_of, names_of, page_of
from dff_onnx.report.page.layout import LIMIT, Level, Report, layout_of

PICTURE = np.full((48, 64, 3), 90, np.uint8)
KINDS = {
    "run": findings.found(),
    "per image": findings.found_per_image(),
    "foreground": findings.FOREGROUND,
    "cam": findings.CLASS_MAPS,
    "speaking": findings.SPEAKING,
    "measured": findings.MEASURED,
    "apply": findings.APPLIED,
}
NUMBER, TEXT, NONE = (int, float), str, type(None)
CONCEPT = {
    "number": int, "colour": TEXT, "energy": (*NUMBER, NONE), "threshold": NUMBER, "peak": NUMBER, "on": NUMBER,
    "classes": list, "like": (list, NONE), "importance": (list, NONE), "control": (*NUMBER, NONE),
    "parent": (int, NONE),
}  # fmt: skip
FIELDS: dict[str, dict[str, Any]] = {
    "data": {
        "format": TEXT, "title": TEXT, "kind": TEXT, "facts": list, "page": dict, "scale": TEXT, "start": int,
        "levels": list, "images": list, "more": list, "sections": list, "foot": list,
    },
    "page": {"number": int, "files": list, "first": int, "pictures": int, "shown": int},
    "level": {"k": int, "explained": (*NUMBER, NONE), "label": (TEXT, NONE), "concepts": list},
    "concept": {**CONCEPT, "bins": list, "top": list},
    "own": {**CONCEPT, "name": (TEXT, NONE)},
    "image": {
        "path": TEXT, "width": int, "height": int, "overlay": (TEXT, NONE), "loss": (*NUMBER, NONE),
        "unexplained": bool, "thumb": (TEXT, NONE), "answers": list, "levels": list,
    },
    "section": {"title": TEXT, "note": TEXT, "columns": list, "rows": list, "plots": list},
    "group": {"title": TEXT, "rows": list},
}  # fmt: skip


def check(value: Any, name: str) -> None:
    """Exactly these fields, of these types."""
    assert value.keys() == FIELDS[name].keys()
    for key, types in FIELDS[name].items():
        assert isinstance(value[key], types), (name, key)


def pages_of(report: Report, picture: Any = PICTURE) -> list[bytes]:
    layout = layout_of(report)
    budget = budget_of(report, layout)
    entries = {index: entry_of(report, index, picture, "overlays/a.png", budget) for index in layout.order()}
    return [page_of(report, layout, number, entries) for number in range(len(layout.pages))]


def data_of(report: Report) -> dict[str, Any]:
    [page] = pages_of(report)
    data: dict[str, Any] = island(page, "data")
    return data


@pytest.mark.parametrize("found", KINDS.values(), ids=KINDS.keys())
def test_the_data_has_the_fields_of_the_format(found: Found) -> None:
    data = data_of(report_with(found))
    check(data, "data")
    check(data["page"], "page")
    for level in data["levels"]:
        check(level, "level")
        for concept in level["concepts"]:
            check(concept, "concept")
    for image in data["images"]:
        check(image, "image")
        for level in image["levels"]:
            for concept in level.get("table", ()):
                check(concept, "own")
            k = len(level["concepts"])
            assert len(base64.b64decode(level["maps"])) == k * level["h"] * level["w"]
            assert all(len(here) == 3 and all(len(box) == 4 for box in here[2]) for here in level["concepts"])
    for section in data["sections"]:
        check(section, "section")
        assert all(len(row) == len(section["columns"]) for row in section["rows"])
        assert all(isinstance(cell, str) for row in section["rows"] for cell in row)
    for group in data["foot"]:
        check(group, "group")
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in data["facts"])


@pytest.mark.parametrize("found", KINDS.values(), ids=KINDS.keys())
def test_texts_come_through_as_they_are(found: Found) -> None:
    report = report_with(found, title='</script><script>alert("x")</script>\u2028')
    data = data_of(report)
    assert data["title"] == report.title
    assert [image["path"] for image in data["images"]] == [image.path for image in found.images]
    tables = [[concept["name"] for concept in image["levels"][0].get("table", ())] for image in data["images"]]
    assert tables == [[concept.name for concept in image.table] for image in found.images]


def test_a_picture_that_cannot_be_read_has_its_maps_and_no_thumbnail() -> None:
    [page] = pages_of(report_with(3), None)
    assert all(image["thumb"] is None and image["levels"][0]["maps"] for image in island(page, "data")["images"])


def test_maps_and_thresholds_are_in_the_scale_of_the_peak() -> None:
    concept = findings.concept(0, peak=4.0, threshold=1.0)
    found = replace(many(1, 1, Grid(1, 3)), concepts=(concept,))
    heat = np.array([[[0.0, 1.0, 4.0]]], np.float32)
    data = data_of(replace(report_with(found), levels=(Level(found, lambda _: heat),)))
    assert list(base64.b64decode(data["images"][0]["levels"][0]["maps"])) == [0, 64, 255]
    assert data["levels"][0]["concepts"][0]["on"] == 0.25
    sharp = np.array([[[0, 127, 128]]], np.uint8)
    data = data_of(replace(report_with(found), levels=(Level(found, lambda _: sharp),)))
    assert list(base64.b64decode(data["images"][0]["levels"][0]["maps"])) == [0, 127, 128]
    assert data["levels"][0]["concepts"][0]["on"] == 0.5


def test_a_concept_that_is_nowhere_is_on_nowhere() -> None:
    data = data_of(report_with(replace(many(2, 1), concepts=(findings.concept(0, peak=0.0, threshold=0.0),))))
    assert data["levels"][0]["concepts"][0]["on"] == 1.0


def test_the_histogram_counts_all_pictures_and_the_strongest_are_found_on_the_page() -> None:
    report = report_with(450, k=3, shown=300)
    for page in pages_of(report):
        data = island(page, "data")
        shown = data["images"] + data["more"]
        for j, concept in enumerate(data["levels"][0]["concepts"]):
            scores = [image.concepts[j].score for image in report.images]
            assert concept["bins"] == np.histogram(scores, 20, (0, 1))[0].tolist()
            best = [shown[place]["path"] for place in concept["top"]]
            assert best == [report.images[i].path for i in np.argsort(-np.array(scores), kind="stable")[:12]]
    assert [island(page, "data")["page"] for page in pages_of(report)] == [
        {"number": n, "files": ["report.html", "report-2.html"], "first": first, "pictures": 450, "shown": 300}
        for n, first in ((1, 0), (2, 200))
    ]


def test_what_a_bank_does_not_explain_is_marked() -> None:
    data = data_of(report_with(findings.APPLIED))
    wanted = {image.path for image in findings.APPLIED.unexplained}
    assert wanted == {image["path"] for image in data["images"] if image["unexplained"]}
    assert ["not explained by the bank", str(len(wanted))] in data["facts"]


def test_figures_about_a_concept_go_with_it() -> None:
    level = data_of(report_with(findings.MEASURED))["levels"][0]
    first = level["concepts"][0]
    assert first["like"] == [2, 0.3333] and first["importance"] == [0.6667, 0.5, 0.75] and first["control"] == 0.6667
    assert level["explained"] == float(f"{1 - findings.FIT.loss:.4g}")
    spoken = data_of(report_with(findings.SPEAKING))["levels"][0]["concepts"][0]
    assert spoken["classes"] == [["tench", -0.5]]


def test_an_overlay_whose_name_is_no_text_is_not_linked() -> None:
    report = report_with(1)
    links = [entry_of(report, 0, None, path, 10**6)["overlay"] for path in ("overlays/<a>.png", "overlays/\udcff.png")]
    assert links == ["overlays/<a>.png", None]


def test_a_tree_has_a_level_for_each_k_over_the_same_pictures() -> None:
    one, two = report_with(many(5, 1)).levels[0], report_with(many(5, 2)).levels[0]
    report = replace(report_with(5), kind="tree", levels=(one, replace(two, parents=(0, None))), start=1)
    [page] = pages_of(report)
    data = island(page, "data")
    assert [len(level["concepts"]) for level in data["levels"]] == [1, 2] and data["start"] == 1
    assert [[len(level["concepts"]) for level in image["levels"]] for image in data["images"]] == [[1, 2]] * 5
    assert [concept["parent"] for concept in data["levels"][1]["concepts"]] == [0, None]
    assert names_of(report) == [[None], [None, None]]


NOISE = [np.random.default_rng(seed).integers(0, 256, (320, 320, 3), np.uint8) for seed in range(4)]


@pytest.mark.parametrize(("k", "grid", "pictures"), [(20, 56, 200), (20, 56, 420), (4, 14, 420), (300, 28, 250)])
def test_a_page_stays_below_ten_million_bytes_whatever_the_pictures_are(k: int, grid: int, pictures: int) -> None:
    report = report_with(many(pictures, k, Grid(grid, grid)))
    layout = layout_of(report)
    budget = budget_of(report, layout)
    made = [entry_of(report, index, NOISE[index], "overlays/" + 200 * "<", budget) for index in range(4)]
    assert all(entry["thumb"] for entry in made)
    entries = {index: made[index % 4] for index in layout.order()}
    sizes = [len(page_of(report, layout, number, entries)) for number in range(len(layout.pages))]
    assert LIMIT / 3 < max(sizes) <= LIMIT


def test_hostile_names_of_classes_and_paths_do_not_break_the_bound() -> None:
    image = replace(findings.CLASS_MAPS.images[0], path=4000 * "<")
    spoken = (ClassWeight(1, 500 * "<", 1e-300),) * 3
    bad = tuple(replace(concept, name=500 * "<", classes=spoken) for concept in image.table) * 10
    own = replace(image, table=bad, concepts=image.concepts * 10, answers=image.answers * 2)
    failures = (Failure(4000 * "<", 4000 * ">"),) * 300
    report = report_with(replace(findings.CLASS_MAPS, images=(own,) * 200, failures=failures))
    layout = layout_of(report)
    budget = budget_of(report, layout)
    entry = entry_of(report, 0, NOISE[0], "overlays/" + 4000 * "<", budget)
    assert entry["thumb"] and entry["overlay"] is None
    assert len(page_of(report, layout, 0, dict.fromkeys(range(200), entry))) <= LIMIT
