"""What a page tells about the whole run."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import findings
import pytest
from pages import TABLES

from dff_onnx.metrics.statistics import Interval
from dff_onnx.report.faithfulness_plot import faithfulness_svg
from dff_onnx.report.figures import AppliedFound
from dff_onnx.report.found import Failure
from dff_onnx.report.page.sections import ROWS, foot, sections_of

SVG = "{http://www.w3.org/2000/svg}"


def titled(found: Any, title: str) -> dict[str, Any]:
    [section] = [section for section in sections_of(found) if section["title"] == title]
    return section


def test_a_plain_run_has_nothing_to_tell() -> None:
    assert sections_of(replace(findings.found(), failures=())) == []


def test_the_choice_of_k_has_its_reason_its_figures_and_a_plot() -> None:
    section = titled(findings.MEASURED, "Choice of k")
    assert section["note"] == "=because" and len(section["plots"]) == 1
    assert section["rows"] == [["1", "33.3 %", "1.000", "", ""], ["2", "50.0 %", "0.750", "0.500", "yes"]]


def test_ground_truth_has_a_row_for_each_concept_and_says_how_the_union_was_chosen() -> None:
    section = titled(findings.MEASURED, "Beside the ground truth")
    assert section["rows"] == [[n, "0.667", "0.500", "0.750", "0.667", "0.500", "0.750"] for n in "01"]
    assert "(0 and 1): IoU 0.667, 0.500 to 0.750" in section["note"] and "chosen by the masks" in section["note"]


def test_faithfulness_stands_beside_its_control() -> None:
    section = titled(findings.MEASURED, "Faithfulness to the classifier")
    assert [row[0] for row in section["rows"]] == ["0", "1", "random 0", "random 1"]
    assert "probability" in section["note"] and "18 pictures" in section["note"]
    [plot] = section["plots"]
    root = ElementTree.fromstring(base64.b64decode(plot))
    assert len(root.findall(f".//{SVG}polyline")) == 4 == len(root.findall(f".//{SVG}polygon"))
    assert not [element for element in root.iter() if element.tag == f"{SVG}script"]


def test_the_curves_lie_where_their_figures_are() -> None:
    rising = tuple(Interval(y, y, y) for y in (0.0, 0.5, 1.0))
    falling = rising[::-1]
    faithfulness = findings.MEASURED.faithfulness
    assert faithfulness is not None
    concepts = replace(faithfulness.concepts, deletion=falling, insertion=rising)
    root = ElementTree.fromstring(faithfulness_svg(replace(faithfulness, concepts=concepts)))
    lines = [
        [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]
        for line in root.findall(f".//{SVG}polyline")
        if not line.get("stroke-dasharray")
    ]
    deletion, insertion = lines
    assert [y for _, y in deletion] == [y for _, y in insertion][::-1] == sorted(y for _, y in deletion)
    assert [x for x, _ in deletion] == sorted({x for x, _ in insertion})


def test_trials_of_the_foreground_are_listed_and_the_one_that_was_taken_marked() -> None:
    section = titled(findings.FOREGROUND, "Trials of the foreground")
    assert section["rows"] == [["0", "448", "centre", "3.500", "0.800", "0.300", "0.750", "0.100", "yes"]]
    assert "medium" in section["note"]


@pytest.mark.parametrize(("usual", "limit", "said"), [
    (1 / 3, 0.75, "0.333 at most. Those that lose more than 0.750"), (None, None, "does not know"),
])  # fmt: skip
def test_what_a_bank_does_not_explain_is_listed_worst_first(usual: float, limit: float, said: str) -> None:
    found = replace(findings.APPLIED, applied=AppliedFound("cd" * 32, usual, limit))
    section = titled(found, "Pictures the bank does not explain")
    assert said in section["note"]
    assert [row[0] for row in section["rows"]] == [image.path for image in found.unexplained]


def test_long_lists_and_long_texts_are_cut_and_it_is_said() -> None:
    failures = tuple(Failure(f"{index}.jpg" + "x" * 5000, "y" * 5000) for index in range(250))
    section = titled(findings.found(failures=failures), "Pictures that could not be used")
    assert len(section["rows"]) == ROWS and section["note"] == "The first 100 of 250."
    assert all(len(cell) == 400 and cell.endswith("…") for row in section["rows"] for cell in row)


def test_the_foot_has_settings_fingerprint_and_versions_but_not_where_the_pictures_lie() -> None:
    groups = {group["title"]: dict(group["rows"]) for group in foot(TABLES)}
    assert groups == {
        "Settings": {"k": "2", "crf": "none", "share": "0.25", "deep flag": "yes", "list": "1, 2"},
        "Fingerprint": {"layer": "<b>relu</b>"},
        "Versions": {"device": "cpu", "numpy": "2.0"},
    }
    assert "nobody" not in str(foot(TABLES))


def test_of_a_folder_of_masks_the_foot_has_the_name_alone() -> None:
    tables = TABLES | {"settings": {"truth": "/home/nobody/masks"}, "bank": {"sha256": "cd"}}
    groups = {group["title"]: group["rows"] for group in foot(tables)}
    assert groups["Settings"] == [["truth", "masks"]] and groups["Bank"] == [["sha256", "cd"]]
