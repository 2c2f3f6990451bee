"""The files for other programs, read back by other readers."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from findings import (
    APPLIED,
    CLASS_MAPS,
    FIT,
    FOREGROUND,
    HOSTILE_PATHS,
    MEASURED,
    SPEAKING,
    concept,
    found,
    found_per_image,
    image,
)
from hypothesis import example, given
from hypothesis import strategies as st
from schema_check import complaints

from dff_onnx.report.results import CSV_COLUMNS, boxes_csv, coco_json, failures_json, results_json

DOCS = Path(__file__).parent.parent.parent / "docs"
SCHEMA = json.loads((DOCS / "results.schema.json").read_text(encoding="utf-8"))


def strict(data: bytes) -> Any:
    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key comes twice"
        return dict(pairs)

    assert data.endswith(b"\n") and not data.endswith(b"\n\n")
    return json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True))


RUNS = [
    found(),
    found_per_image(),
    found(images=()),
    found(failures=()),
    FOREGROUND,
    CLASS_MAPS,
    SPEAKING,
    MEASURED,
    APPLIED,
]


@pytest.mark.parametrize("run", RUNS)
def test_results_keep_to_the_published_schema(run: Any) -> None:
    assert list(complaints(strict(results_json(run)), SCHEMA, SCHEMA)) == []


def mutations(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    changes: dict[str, Any] = {
        "no schema": lambda r: r.pop("schema"),
        "another schema": lambda r: r.update(schema="dff-onnx/results/2"),
        "an unknown field": lambda r: r.update(more=1),
        "a number as text": lambda r: r["concepts"][0].update(energy="0.5"),
        "a truth value as a number": lambda r: r["fit"].update(k=True),
        "a colour by name": lambda r: r["concepts"][0].update(colour="red"),
        "three corners": lambda r: r["images"][0]["concepts"][0]["box"].pop(),
        "a score above 1": lambda r: r["images"][0]["concepts"][0].update(score=1.5),
        "an unknown scale": lambda r: r.update(scale="folder"),
    }
    if "foreground" in results:
        changes = {
            "a foreground of another sureness": lambda r: r["foreground"].update(sure="very"),
            "a trial without a prior": lambda r: r["foreground"]["trials"][0].pop("prior"),
            "no trials": lambda r: r["foreground"].update(trials=[]),
        }
    made = {}
    for name, change in changes.items():
        made[name] = copy.deepcopy(results)
        change(made[name])
    return made


def test_the_schema_refuses_what_results_are_not() -> None:
    for run in (found(), FOREGROUND):
        for name, wrong in mutations(strict(results_json(run))).items():
            assert list(complaints(wrong, SCHEMA, SCHEMA)), name


def test_every_object_of_the_schema_requires_its_fields_and_knows_no_others() -> None:
    objects = [SCHEMA, *(d for d in SCHEMA["$defs"].values() if d.get("type") == "object")]
    assert all(one["additionalProperties"] is False for one in objects)
    optional = {key for one in objects for key in one["properties"].keys() - set(one["required"])}
    assert optional == set(
        "answers applied choice class class_maps classes faithfulness fit foreground like loss table truth".split()
    )


def test_results_say_what_classes_concepts_speak_for() -> None:
    results = strict(results_json(SPEAKING))
    assert results["concepts"][0]["classes"] == [{"class": 3, "name": "tench", "weight": -0.5}]
    assert "classes" not in results["concepts"][1]


def test_class_maps_have_answers_and_a_table_of_classes() -> None:
    results = strict(results_json(CLASS_MAPS))
    image = results["images"][0]
    assert image["answers"][0] == {"class": 900, "name": "crane", "score": -12.5, "probability": 0.25}
    assert [(c["class"], c["name"], c["energy"]) for c in image["table"]] == [(3, "=tench", None), (900, "crane", None)]
    assert results["class_maps"] == {"method": "cam", "classes": 1000, "names": "imagenet", "box": "paper"}
    coco = strict(coco_json(CLASS_MAPS))
    assert coco["categories"] == [{"id": 4, "name": "=tench"}, {"id": 901, "name": "crane"}]
    assert {one["category_id"] for one in coco["annotations"]} == {4}


def test_results_say_what_was_found() -> None:
    results = strict(results_json(found()))
    assert [i["path"] for i in results["images"]] == list(HOSTILE_PATHS)
    here = results["images"][0]["concepts"][0]
    assert here["box"] == [0, 0, 20, 30] and [r["area"] for r in here["regions"]] == [599, 8]
    assert results["images"][0]["concepts"][1]["box"] is None
    assert results["images"][0]["size"] == {"width": 64, "height": 48}
    assert results["fit"]["explained"] == pytest.approx(1 - FIT.loss, rel=1e-8)


def test_an_image_with_concepts_of_its_own_brings_their_table() -> None:
    results = strict(results_json(found_per_image()))
    assert results["fit"] is None and results["concepts"] == []
    assert [c["peak"] for c in results["images"][0]["table"]] == [1.0, 3.0]
    assert results["images"][0]["fit"]["k"] == 2


def test_json_is_ascii_and_equal_findings_give_equal_bytes() -> None:
    for write in (results_json, coco_json, boxes_csv):
        assert write(found()) == write(found())
    assert results_json(found()).isascii() and coco_json(found()).isascii()


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False, width=32))
@example(0.11493263393640518)  # eight would not do
def test_nine_digits_keep_every_float32(value: float) -> None:
    results = strict(results_json(found(concepts=(concept(0, peak=value), concept(1)), images=())))
    assert np.float32(results["concepts"][0]["peak"]) == np.float32(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        results_json(found(concepts=(concept(0, peak=value), concept(1))))


def test_csv_has_a_line_for_each_region_and_marks_the_largest() -> None:
    lines = rows(boxes_csv(found(images=(image("a.jpg"),))))
    assert [tuple(line) for line in lines] == [CSV_COLUMNS] * 2
    assert [line["largest"] for line in lines] == ["1", "0"]
    assert [lines[1][key] for key in ("x0", "y0", "x1", "y1", "area")] == ["40", "1", "43", "4", "8"]
    assert float(lines[0]["score"]) == pytest.approx(1 / 3, rel=1e-8)


def test_csv_lines_end_as_rfc_4180_says() -> None:
    data = boxes_csv(found(images=(image("a.jpg"),)))
    assert data.count(b"\r\n") == data.count(b"\n") == 3 and data.endswith(b"\r\n")


def test_no_cell_of_the_csv_is_a_formula() -> None:
    for line in rows(boxes_csv(found())):
        for column in ("image", "name"):
            assert not line[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
@example(["'=1"])
def test_csv_gives_every_path_and_name_back(texts: list[str]) -> None:
    run = found(concepts=(concept(0, name=texts[0]), concept(1)), images=tuple(map(image, texts)))
    lines = rows(boxes_csv(run))
    assert [line["image"].removeprefix("'") for line in lines[::2]] == texts
    assert {line["name"].removeprefix("'") for line in lines} == {texts[0]}


def test_a_lone_surrogate_is_written_as_its_number() -> None:
    lines = rows(boxes_csv(found(images=(image("a\udcff.jpg"),))))
    assert lines[0]["image"] == r"a\udcff.jpg"
    assert strict(failures_json(found().failures))[1]["path"] == "lone \udcff.png"


def test_coco_ids_are_unique_and_refer_to_each_other() -> None:
    twins = found(images=(image("a.jpg"), image("a.jpg"), image("b.jpg")))
    coco = strict(coco_json(twins))
    for part in ("images", "categories", "annotations"):
        ids = [entry["id"] for entry in coco[part]]
        assert ids == list(range(1, len(ids) + 1))
    assert [a["image_id"] for a in coco["annotations"]] == [1, 1, 2, 2, 3, 3]
    assert {a["category_id"] for a in coco["annotations"]} <= {c["id"] for c in coco["categories"]}


def test_coco_boxes_are_corner_and_extent() -> None:
    coco = strict(coco_json(found(images=(image("a.jpg"),))))
    assert coco["images"] == [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}]
    assert [c["name"] for c in coco["categories"]] == ["=head", "concept 1"]
    second = coco["annotations"][1]
    assert second["bbox"] == [40, 1, 3, 3] and second["area"] == 8 and second["iscrowd"] == 0
    assert "segmentation" not in second


def test_coco_of_concepts_that_are_not_shared_names_them_by_number() -> None:
    assert [c["name"] for c in strict(coco_json(found_per_image()))["categories"]] == ["concept 0", "concept 1"]


def test_failures_are_a_list_even_when_there_is_none() -> None:
    assert strict(failures_json(())) == []
    assert strict(failures_json(found().failures))[0] == {"path": "broken.jpg", "reason": "is no picture"}


def test_the_documentation_names_every_column_and_field() -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert ",".join(CSV_COLUMNS) in text
    assert SCHEMA["title"] in text and SCHEMA["properties"]["schema"]["const"] == SCHEMA["title"]


def test_a_concept_is_called_by_its_name_or_its_number() -> None:
    assert [concept(3).label, concept(3, name="ear").label] == ["concept 3", "ear"]
    assert replace(found(), concepts=()).concepts_of(image("a")) == ()
