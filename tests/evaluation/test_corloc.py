"""CorLoc: VOC, tables of boxes and masks; the paper's layout with the published rows beside ours."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from layouts import Thing, write_voc, xml_of
from PIL import Image
from square_trees import EMPTY, SIDE, square, write_group

from dff_onnx.datasets import CLASSES
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation import (
    Figures,
    VocChoice,
    bars,
    evaluate,
    figures_json,
    markdown,
    open_boxes,
    systems_named,
    tables,
    terminal,
    voc_2007_time,
)
from dff_onnx.evaluation.duration import told
from dff_onnx.evaluation.published import ABBREVIATIONS, CORLOC_VOC_2007
from dff_onnx.images import Resize

# Every picture has one red square, and boxes as VOC writes them are around it or elsewhere.
THERE, ELSEWHERE = (17, 17, 48, 48), (1, 1, 16, 16)


def write_squares(devkit: Path, pictures: dict[str, list[Thing]], *year_and_split: str) -> Path:
    """VOC with the red squares of `square_trees` for pictures."""
    base = write_voc(devkit, pictures, *year_and_split)
    for name, things in pictures.items():
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        pixels[square()] = (230, 10, 10)
        Image.fromarray(pixels).save(base / "JPEGImages" / f"{name}.jpg", quality=95)
        (base / "Annotations" / f"{name}.xml").write_bytes(xml_of(name, things, SIDE, SIDE))
    return devkit


def measured(root: Path, **options: Any) -> Figures:
    voc = VocChoice(**options.pop("voc", {}))
    given = {"table": None, "masks": None, "groups": (), "skip": False} | options
    opened = open_boxes(root, voc=voc, **given)
    return evaluate(opened, Colours(), systems_named(["plain"], Resize("square", SIDE)), "corloc")


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    pictures = {
        "000001": [Thing("cat", THERE), Thing("dog", ELSEWHERE)],
        "000002": [Thing("cat", ELSEWHERE)],
        "000003": [Thing("cat", (1, 1, 2, 2)), Thing("cat", THERE)],
        "000004": [Thing("dog", THERE, difficult=1)],
    }
    return write_squares(tmp_path, pictures)


def test_any_box_of_the_class_will_do_and_the_mean_is_over_classes(devkit: Path) -> None:
    figures = measured(devkit)
    (table,) = tables(figures)
    assert table.groups == ("cat", "dog") and table.images == (3, 1)
    assert table.rows[0].figures == pytest.approx((2 / 3, 0.0))
    assert table.rows[0].mean == pytest.approx(1 / 3), "the mean is over classes, not pictures"
    assert [(one.path, one.truth, one.hit) for one in figures.of("plain")[:3]] == [
        ("JPEGImages/000001.jpg", 1, True), ("JPEGImages/000002.jpg", 1, False), ("JPEGImages/000003.jpg", 2, True),
    ]  # fmt: skip


def test_the_filter_and_clean_boxes_are_those_asked_for(devkit: Path) -> None:
    every = measured(devkit, voc={"rule": "none"})
    assert tables(every)[0].images == (3, 2)
    clean = measured(devkit, voc={"rule": "none", "clean": True})
    assert tables(clean)[0].images == (3, 1) and "1 picture without a box: not counted" in clean.notes


def test_published_rows_stand_beside_ours_on_their_own_data_set_only(devkit: Path, tmp_path: Path) -> None:
    (table,) = tables(measured(devkit))
    assert [row.source for row in table.rows] == ["measured"] + ["published"] * 7
    dff = table.rows[1]
    assert (dff.name, dff.figures) == ("DFF", (0.79, 0.67))
    assert math.isnan(dff.mean), "it is over 20 classes, and ours over two"
    assert dff.interval is None and dff.p is None and "ECCV 2018" in dff.origin
    for year, split in (("2010", "trainval"), ("2012", "train")):
        write_squares(tmp_path / "other", {"1": [Thing("cat", THERE)]}, year, split)
        other = measured(tmp_path / "other", voc={"year": year, "split": split})
        assert [row.source for row in tables(other)[0].rows] == ["measured"]


def test_a_published_mean_stands_beside_ours_over_the_same_classes_only(devkit: Path) -> None:
    figures = measured(devkit)
    made = tables(figures)
    lines = terminal(figures, made, halves=True).splitlines()
    assert next(line for line in lines if line.startswith("DFF ")).split()[-1] == "-"
    assert "mean over groups, 95 % interval over images, in per cent:" in lines
    interval = made[0].rows[0].interval
    assert interval and f"33.33 ({100 * interval.low:.2f} to {100 * interval.high:.2f})" in lines[-2]
    assert "tuning half 66.67, check half 0.00" in lines[-1]
    assert "| DFF | published | - | - |" in markdown(figures, made)
    rows = json.loads(figures_json(figures, made))["tables"][0]["rows"]
    assert [row["mean"] for row in rows[1:]] == [None] * 7 and rows[0]["mean"] is not None
    assert "nan" not in bars(figures, made[0])


def test_the_published_cells_are_the_posters() -> None:
    rows = {row.name: row for row in CORLOC_VOC_2007}
    assert list(rows) == ["DFF", "DFF-CRF", "Joulin", "Cho", "Li", "Le (A)", "Le (V)"]
    assert all(len(row.figures) == len(CLASSES) == len(ABBREVIATIONS) for row in rows.values())
    assert sum(rows["DFF"].figures) / 20 == 43.05 and sum(rows["DFF-CRF"].figures) / 20 == 43.70
    assert all(abs(sum(row.figures) / 20 - row.mean) < 1 for row in rows.values())
    assert [row.mean for row in rows.values()] == [42.87, 43.51, 25.60, 36.60, 40.00, 40.36, 41.97]


def test_the_table_has_the_papers_layout_in_80_columns(tmp_path: Path) -> None:
    write_squares(tmp_path, {"1": [Thing(label, THERE) for label in CLASSES]})
    figures = measured(tmp_path)
    shown = terminal(figures, tables(figures), halves=False)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.strip().startswith(("aero", "dtab"))]
    assert [*heads[0], *heads[1]] == [*ABBREVIATIONS.values(), "mean"]
    (first, second) = [line.split() for line in lines if line.startswith("DFF ")]
    assert first == "DFF published 61 49 54 20 10 60 46 79 4 51".split()
    assert second == "DFF published 32 67 66 70 19 15 40 32 66 20 42.87".split()
    ours = [line.split() for line in lines if line.startswith("plain ")]
    assert ours[0] == ["plain", "measured", *["100"] * 10] and ours[1][-1] == "100.00"
    page = markdown(figures, tables(figures))
    assert "DFF (published)" in page and "plain (measured)" in page and "Published: Collins" in page
    drawn = bars(figures, tables(figures)[0])
    assert "DFF-CRF (published)" in drawn and "Joulin" not in drawn


def test_the_time_of_the_real_set_follows_from_the_rate(devkit: Path) -> None:
    (sentence,) = voc_2007_time(measured(devkit), 2.0)
    assert sentence == told(4, 2.0) and "2.0 pictures/s; estimate" in sentence and "41.8 min" in sentence


def test_a_table_of_boxes_and_a_tree_of_masks_do_as_well(tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square(), square(0), EMPTY])
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1,class\n0.png,16,16,48,48,leaf\n1.png,0,0,9,9,leaf\n")
    boxes = measured(tmp_path / "set" / "images" / "cats", table=tmp_path / "boxes.csv")
    assert tables(boxes)[0].rows[0].figures == (0.5,) and voc_2007_time(boxes, 1.0) == ()
    for options in ({}, {"masks": tmp_path / "set" / "ground_truth"}):
        root = tmp_path / "set" / "images" if options else tmp_path / "set"
        masks = measured(root, **options)
        assert tables(masks)[0].rows[0].figures == (0.5,)
        assert masks.notes == ("1 picture without a box: not counted",)
    with pytest.raises(UsageError, match="one of --boxes and --masks"):
        measured(tmp_path, table=tmp_path / "boxes.csv", masks=tmp_path)


def test_an_annotation_of_another_size_names_the_picture(devkit: Path) -> None:
    (devkit / "VOC2007" / "Annotations" / "000002.xml").write_bytes(xml_of("000002", [Thing("cat", ELSEWHERE)], 24, 64))
    with pytest.raises(DatasetError, match=r"000002\.jpg: has 64x64 pixels, and its annotation says 24x64"):
        measured(devkit)


def test_pictures_are_sorted_and_one_of_two_classes_fails_once(devkit: Path, tmp_path: Path) -> None:
    write_group(tmp_path / "set", "cats", [square()] * 3)
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\n2.png,0,0,9,9\n0.png,0,0,9,9\n1.png,0,0,9,9\n")
    figures = measured(tmp_path / "set" / "images" / "cats", table=tmp_path / "boxes.csv")
    assert [one.path for one in figures.scores] == ["0.png", "1.png", "2.png"]
    (devkit / "VOC2007" / "JPEGImages" / "000001.jpg").write_bytes(b"nothing")
    damaged = measured(devkit, voc={"rule": "none"})
    assert [failure.path for failure in damaged.failures] == ["JPEGImages/000001.jpg"]
