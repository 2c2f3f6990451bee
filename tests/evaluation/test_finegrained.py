"""Fine-grained recognition: a scene in which cropping helps, and figures that can be taken again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bird_scenes import CLASSES, HEIGHT, SIDE, WIDTH, write_scenes
from fake_backbone import Colours
from PIL import Image

from dff_onnx.datasets.cub import read_cub
from dff_onnx.errors import DatasetError, ImageError, NoImagesError
from dff_onnx.evaluation.finegrained import FineFigures, FineSettings, evaluate_finegrained, read_crop
from dff_onnx.evaluation.finegrained_text import (
    accuracies,
    finegrained_identity,
    finegrained_json,
    finegrained_markdown,
    finegrained_plot,
    finegrained_terminal,
)
from dff_onnx.images import Resize, read_picture
from dff_onnx.learning.svm import fit_svm
from dff_onnx.metrics import mean_of_ratios
from dff_onnx.records import Box, Grid

SETTINGS = FineSettings(Resize("long", 96))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("set"), 24)


@pytest.fixture(scope="module")
def figures(root: Path) -> FineFigures:
    return evaluate_finegrained(read_cub(root), Colours(), SETTINGS)


def test_crops_by_its_own_maps_help_as_much_as_the_true_boxes(figures: FineFigures) -> None:
    full, crop, true = (one.by_class.estimate for one in accuracies(figures))
    assert full < 0.85 and crop > full + 0.1 and true > 0.95 and crop > true - 0.1
    assert figures.trained == len(figures.pictures) == 36 and figures.classes == CLASSES and not figures.failures


def test_the_crops_are_where_the_birds_are(root: Path, figures: FineFigures) -> None:
    known = {one.path: one.box for one in read_cub(root).pictures}
    near = 0
    birds = [one for one in figures.pictures if one.label < 2]
    for one in birds:
        assert one.crop is not None
        true = known[root / one.path]
        centre = ((one.crop.x0 + one.crop.x1) / 2, (one.crop.y0 + one.crop.y1) / 2)
        apart = math.dist(centre, ((true.x0 + true.x1) / 2, (true.y0 + true.y1) / 2))
        near += apart < SIDE / 3 and SIDE**2 / 2 < one.crop.area < 3 * SIDE**2
    assert len(birds) == 24 and near >= 20  # where it is mistaken, its map may be anywhere


def test_the_crops_are_those_of_opencv_by_the_map_of_the_class_that_was_given(root: Path, figures: FineFigures) -> None:
    known = read_cub(root).pictures
    features = [Colours()(read_picture(one.path, SETTINGS.resize).pixels[None])[0] for one in known]
    rows = np.stack([one.mean(axis=(1, 2)) for one in features])
    train = [place for place, one in enumerate(known) if one.train]
    head = fit_svm(rows[train], [known[place].label for place in train], 3).head
    given = np.asarray(head.of_pooled(rows)).argmax(axis=1)
    places = {one.path.relative_to(root).as_posix(): place for place, one in enumerate(known)}
    assert figures.steps[0].found == tuple(given[places[one.path]] for one in figures.pictures)
    for one in figures.pictures:
        place = places[one.path]
        values = np.einsum("c,chw->hw", head.weights[given[place]], features[place])
        large = cv2.resize(values, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        on = (large > max(0.2 * large.max(), 0)).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(on, connectivity=8)[2][1:]
        if not len(stats):
            assert one.crop is None
            continue
        x, y, width, height, _ = stats[stats[:, cv2.CC_STAT_AREA].argmax()]
        assert one.crop is not None
        corners = (one.crop.x0, one.crop.y0, one.crop.x1, one.crop.y1)
        np.testing.assert_allclose(corners, (x, y, x + width, y + height), atol=1)


def test_each_figure_can_be_taken_again_from_the_file(root: Path, figures: FineFigures) -> None:
    fields = json.loads(finegrained_json(figures))
    assert fields["schema"] == "dff-onnx/evaluation/1" and fields["kind"] == "finegrained"
    labels = [one["class"] for one in fields["images"]]
    for number, step in enumerate(fields["steps"]):
        hits = [int(one["found"][number] == one["class"]) for one in fields["images"]]
        assert step["mean_over_classes"] == pytest.approx(mean_of_ratios(hits, [1] * len(hits), labels))
        assert step["overall"] == pytest.approx(np.mean(hits))
        assert step["interval"][0] <= step["mean_over_classes"] <= step["interval"][1] and step["published"] is None
    again = evaluate_finegrained(read_cub(root), Colours(), SETTINGS)
    assert finegrained_json(again) == finegrained_json(figures)
    identity = json.loads(json.dumps(finegrained_identity(read_cub(root), Colours(), SETTINGS)))
    assert {key: fields[key] for key in identity} == identity


def test_published_figures_stand_beside_the_set_itself_alone(figures: FineFigures) -> None:
    real = replace(figures, dataset="CUB-200-2011")
    assert "full image 63.0, map crop 67.8, true box 70.5" in finegrained_terminal(real)
    assert "| 67.8 |" in finegrained_markdown(real) and "63.0" not in finegrained_markdown(figures)
    assert "published" not in finegrained_terminal(figures)
    assert [one["published"] for one in json.loads(finegrained_json(real))["steps"]] == [0.63, 0.678, 0.705]


def test_a_table_fits_80_columns_and_there_is_a_plot(figures: FineFigures) -> None:
    for one in (figures, replace(figures, dataset="CUB-200-2011")):
        assert max(map(len, finegrained_terminal(one).splitlines())) <= 80
    assert finegrained_plot(figures).startswith("<svg")
    hostile = replace(figures, dataset="a|<b>", notes=("<i>",))
    assert "<b>" not in finegrained_markdown(hostile) and "<i>" not in finegrained_markdown(hostile)


def test_columns_stay_apart_where_everything_is_right(figures: FineFigures) -> None:
    labels = tuple(picture.label for picture in figures.pictures)
    right = replace(figures, steps=tuple(replace(step, found=labels) for step in figures.steps))
    lines = [line for line in finegrained_terminal(right).splitlines() if "(100.0 to 100.0)" in line]
    assert len(lines) == 3 and all(line.count("(100.0 to 100.0) ") == 1 and len(line) <= 80 for line in lines)


def test_a_crop_is_cut_at_full_resolution_and_then_resized(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_crop(tmp_path / "a.png", Box(100, 50, 200, 150), Resize("square", 100))
    np.testing.assert_array_equal(found.pixels, pixels[50:150, 100:200])
    assert found.original == Grid(100, 100)
    half = read_crop(tmp_path / "a.png", Box(100, 50, 164, 114), Resize("square", 32))
    expected = Image.fromarray(pixels[50:114, 100:164]).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(half.pixels, np.asarray(expected))
    whole = read_crop(tmp_path / "a.png", None, Resize("short", 60))
    np.testing.assert_array_equal(whole.pixels, read_picture(tmp_path / "a.png", Resize("short", 60)).pixels)
    with pytest.raises(ImageError):
        read_crop(tmp_path / "b.png", Box(0, 0, 1, 1), Resize())


def test_boxes_are_of_the_upright_picture(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = np.rot90(pixels, -1)
    found = read_crop(tmp_path / "a.png", Box(15, 0, 40, 30), Resize("long", 60))
    expected = Image.fromarray(np.ascontiguousarray(upright[:30, 15:])).resize((50, 60), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(found.pixels, np.asarray(expected))


def test_a_picture_that_cannot_be_read_is_listed_once(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "set", 8)
    for number in (1, 2):  # one of the test set, one of the train set
        (root / "images" / "no bird" / f"{number}.png").write_bytes(b"nothing")
    found = evaluate_finegrained(read_cub(root), Colours(), SETTINGS)
    assert [one.path for one in found.failures] == ["images/no bird/1.png", "images/no bird/2.png"]
    assert (found.trained, len(found.pictures)) == (11, 11) and all(len(step.found) == 11 for step in found.steps)


def test_a_picture_that_goes_while_others_are_looked_at_is_listed(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "set", 8)

    class Removing:
        def start(self, stage: str, total: int | None = None) -> None:  # noqa: ARG002
            if stage == "class maps":
                (root / "images" / "no bird" / "1.png").unlink()

        def advance(self, steps: int = 1) -> None: ...

    found = evaluate_finegrained(read_cub(root), Colours(), SETTINGS, Removing())
    assert [one.path for one in found.failures] == ["images/no bird/1.png"]
    assert (found.trained, len(found.pictures)) == (12, 11)


def test_a_class_without_a_usable_picture_is_named(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "set", 4)
    for number in (0, 2):
        (root / "images" / "no bird" / f"{number}.png").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="no picture of no bird in the train set can be used"):
        evaluate_finegrained(read_cub(root), Colours(), SETTINGS)
    for path in (root / "images").rglob("*.png"):
        path.write_bytes(b"nothing")
    with pytest.raises(NoImagesError, match=r"not one of 12 pictures can be used; the first: images/red bird/0\.png"):
        evaluate_finegrained(read_cub(root), Colours(), SETTINGS)


def test_a_box_outside_its_picture_is_refused(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "set", 4)
    boxes = (root / "bounding_boxes.txt").read_text().splitlines()
    (root / "bounding_boxes.txt").write_text("\n".join(["1 400 10 20 20", *boxes[1:]]))
    with pytest.raises(DatasetError, match=r"0\.png: its box 400,10,420,30 lies outside its 96x72 pixels"):
        evaluate_finegrained(read_cub(root), Colours(), SETTINGS)


def test_a_map_that_is_nowhere_above_zero_leaves_the_whole_picture(tmp_path: Path) -> None:
    class Negative(Colours):
        nonnegative = False

        def __call__(self, pixels: Any) -> Any:  # no place speaks for anything; the bias alone tells classes apart
            return np.zeros_like(super().__call__(pixels))

    root = write_scenes(tmp_path / "set", 4)
    found = evaluate_finegrained(read_cub(root), Negative(), replace(SETTINGS, unit=False))
    assert all(one.crop is None for one in found.pictures)
    assert found.notes == ("6 test pictures whose map is nowhere above zero: all of it was looked at",)
