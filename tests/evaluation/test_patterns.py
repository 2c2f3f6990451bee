"""Pattern discovery: planted regions, whose ranks are known by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from layouts import write_mask
from PIL import Image

from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.datasets.label_maps import LabelMaps, read_label_maps
from dff_onnx.errors import DatasetError, NoImagesError, UsageError
from dff_onnx.evaluation.patterns import Patterns, evaluate_patterns, patterns_json, patterns_terminal
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead
from dff_onnx.maps import Threshold
from dff_onnx.records import Grid
from dff_onnx.runs.cam import run_cam
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.mapping import Cam
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run

SETTINGS = Settings(k=1, resize=Resize("square", 64), overlays="none", threshold=Threshold("fraction", fraction=0.3))
TABLE, LAMP, WALL, RUG = 7, 9, 1, 3
PICTURES = 4
SIZE = Grid(64, 64)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A run on pictures whose table alone is red: its one map is on there, and nowhere else.

    A lamp stands on the table in two pictures of four, a rug lies beside it in one; the wall is all around.
    """
    for number in range(PICTURES):
        pixels, labels = np.zeros((64, 64, 3), np.uint8), np.full((64, 64), WALL, np.uint8)
        pixels[16:48, 16:48] = (230, 10, 10)
        labels[16:48, 16:48] = TABLE
        if number < 2:
            labels[24:32, 24:32] = LAMP
        if number == 3:
            labels[52:60, 0:30] = RUG
        labels[0, :10], labels[1, :10] = 0, 255
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
        write_mask(tmp_path / "regions" / f"{number}.png", labels)
    (tmp_path / "names.txt").write_text("1 wall\n3 rug\n7 dining table\n9 lamp\n11 never seen\n")
    run(tmp_path / "pictures", tmp_path / "run", Colours(), SETTINGS)
    return tmp_path


def regions(home: Path) -> LabelMaps:
    return read_label_maps(home / "regions", home / "names.txt")


def found(home: Path, *words: object, **options: bool) -> Patterns:
    with read_run(home / "run") as stored:
        return evaluate_patterns(stored, regions(home), *words, **options)  # type: ignore[arg-type]


def test_the_planted_regions_are_ranked_as_counted_by_hand(home: Path) -> None:
    patterns = found(home)
    assert [(rank.label, rank.pictures, rank.present) for rank in patterns.ranks] == [
        (TABLE, 4, 4),
        (LAMP, 2, 2),
        (RUG, 0, 1),
        (WALL, 0, 4),
    ]
    table, lamp, rug, wall = patterns.ranks
    assert (table.frequency, lamp.frequency, lamp.when_present, wall.frequency) == (1.0, 0.5, 1.0, 0.0)
    assert table.covered > 0.7 > 2.5 * table.chance and lamp.covered < 0.1 and wall.covered < 0.3 < wall.chance
    assert rug.chance == pytest.approx(8 * 30 / 64**2 / 4)
    assert patterns.concept == "concept 0" and (patterns.pictures, patterns.empty, patterns.notes) == (4, 0, ())


def test_the_high_activation_is_the_masks_of_the_run(home: Path) -> None:
    with read_run(home / "run") as stored:
        masks = [stored.masks(index)[0] for index in range(PICTURES)]
    labels = [regions(home).read(home / "regions" / f"{number}.png", SIZE) for number in range(PICTURES)]
    covered = np.mean([(one[mask] == TABLE).mean() for one, mask in zip(labels, masks, strict=True)])
    assert found(home).ranks[0].covered == pytest.approx(float(covered))


def test_with_an_overlap_of_0_the_wall_is_everywhere(home: Path) -> None:
    with read_run(home / "run") as stored:
        touched = sum(
            bool((stored.masks(index)[0] & (np.asarray(Image.open(home / "regions" / f"{index}.png")) == WALL)).any())
            for index in range(PICTURES)
        )
    wall = next(rank for rank in found(home, None, 0.0).ranks if rank.label == WALL)
    assert wall.pictures == touched == 4


def test_a_missing_label_map_is_an_error_or_left_out(home: Path) -> None:
    (home / "regions" / "3.png").unlink()
    with pytest.raises(DatasetError, match=r"regions/3\.png: there is no such label map; .*--skip-missing"):
        found(home)
    patterns = found(home, skip_missing=True)
    assert patterns.pictures == 3 and patterns.notes == ("1 picture without a label map: left out",)
    for number in range(3):
        (home / "regions" / f"{number}.png").unlink()
    with pytest.raises(NoImagesError, match="no label map for any picture"):
        found(home, skip_missing=True)


def test_of_several_maps_one_is_named(home: Path) -> None:
    for path in (home / "pictures").iterdir():
        pixels = np.array(Image.open(path))
        pixels[48:64, 0:32] = (10, 220, 10)  # where the rug lies in one of them
        Image.fromarray(pixels).save(path)
    run(home / "pictures", home / "two", Colours(), replace(SETTINGS, k=2))
    with read_run(home / "two") as stored:
        with pytest.raises(UsageError, match="several maps a picture; say with --concept which: concept 0, concept 1"):
            evaluate_patterns(stored, regions(home))
        with pytest.raises(UsageError, match="has no map of 'sofa'"):
            evaluate_patterns(stored, regions(home), "sofa")
        found_by = [evaluate_patterns(stored, regions(home), concept) for concept in ("0", "1")]
        red = int(stored.masks(0)[1][32, 32])  # which of the two is on at the table
    assert [one.concept for one in found_by] == ["concept 0", "concept 1"]
    assert found_by[red].ranks[0].label == TABLE and found_by[1 - red].ranks[0].label == RUG


def test_two_classes_of_one_name_are_told_apart(home: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = (10, 220, 10)
    Image.fromarray(pixels).save(home / "pictures" / "3.png")
    head = LinearHead(np.eye(2, 4, dtype=np.float32), np.zeros(2, np.float32))  # red, green
    names, settings = ClassNames(("crane", "crane"), (None, None)), CamSettings(top=1, resize=Resize("square", 64))
    run_cam(home / "pictures", home / "cranes", Colours(), Cam(head), names, settings)
    with read_run(home / "cranes") as stored:
        with pytest.raises(UsageError, match="maps of 2 classes; say with --concept which: crane"):
            evaluate_patterns(stored, regions(home))
        assert [evaluate_patterns(stored, regions(home), number).pictures for number in ("0", "1")] == [3, 1]


def test_what_is_printed_fits_80_columns_and_json_has_all(home: Path) -> None:
    patterns = found(home)
    text = patterns_terminal(patterns)
    assert max(map(len, text.splitlines())) <= 80 and "dining table" in text
    assert "and 3 more" in patterns_terminal(patterns, 1)
    fields = json.loads(patterns_json(patterns))
    assert [one["name"] for one in fields["labels"]] == ["dining table", "lamp", "rug", "wall"]
    assert fields["overlap"] == 0.5 and fields["fingerprint"]["layer"] == "colours"
