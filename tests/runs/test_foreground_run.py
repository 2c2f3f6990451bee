from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image, ImageDraw

import dff_onnx.runs.foreground as foreground_file
import dff_onnx.runs.sharpened as sharpened_file
from dff_onnx.concepts.bank import read_bank
from dff_onnx.concepts.foreground import View, project
from dff_onnx.errors import ImageError, UsageError
from dff_onnx.images import Resize, read_original, read_picture
from dff_onnx.maps import Crf
from dff_onnx.records import Grid
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.discover import discover
from dff_onnx.runs.export_masks import export_masks
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.stored import read_run

SETTINGS = Settings(foreground=True, resize=Resize("square", 256))


def truth(size: tuple[int, int], seed: int) -> Image.Image:
    """The mask of a disc somewhere in the middle."""
    rng = np.random.default_rng(seed)
    x, y = (length * rng.uniform(0.4, 0.6) for length in size)
    mask = Image.new("1", size)
    ImageDraw.Draw(mask).ellipse((x - 30, y - 30, x + 30, y + 30), fill=1)
    return mask


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """Red discs on noisy green; one picture stands upright."""
    made = tmp_path / "discs"
    made.mkdir()
    for seed in range(5):
        size = (160, 120) if seed else (110, 150)
        noise = np.random.default_rng(seed).normal(0, 10, (size[1], size[0], 3))
        green = Image.fromarray(np.clip(np.add(noise, (60, 140, 60)), 0, 255).astype(np.uint8))
        red = Image.fromarray(np.clip(np.add(noise, (210, 40, 40)), 0, 255).astype(np.uint8))
        Image.composite(red, green, truth(size, seed)).save(made / f"{seed}.png")
    return made


def iou(ours: Any, seed: int) -> float:
    theirs = np.asarray(truth((ours.shape[1], ours.shape[0]), seed))
    return float((ours & theirs).sum() / (ours | theirs).sum())


@pytest.mark.parametrize("crf", [None, Crf()])
def test_the_disc_is_the_foreground(discs: Path, crf: Crf | None) -> None:
    found = discover(discs, Colours(), Settings(foreground=True, resize=Resize("square", 256), crf=crf))
    assert [concept.name for concept in found.found.concepts] == ["foreground"]
    for index in range(5):
        assert iou(found.masks(index)[0], index) > 0.95
        box, size = found.images[index].concepts[0].box, found.images[index].size
        assert box is not None and abs(box.x1 - box.x0 - 61) <= 3 and box.x1 <= size.width
    assert found.found.foreground is not None and found.found.foreground.sure == "high"
    assert [trial.pixels for trial in found.found.foreground.trials] == [256, 256, 128]


def test_a_crf_makes_the_maps_as_large_as_the_pictures(tmp_path: Path) -> None:
    made = tmp_path / "large"
    made.mkdir()
    for seed in range(3):
        green, red = (Image.new("RGB", (480, 360), colour) for colour in ((60, 140, 60), (210, 40, 40)))
        Image.composite(red, green, truth((480, 360), seed)).save(made / f"{seed}.png")
    for crf, size in ((None, (192, 256)), (Crf(), (360, 480))):
        found = discover(made, Colours(), replace(SETTINGS, crf=crf))
        assert {maps.shape for maps in found.sharp} == {(1, *size)}


def test_a_picture_that_is_gone_the_second_time_ends_nothing(discs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path, side: int) -> Any:
        if path.name == "2.png":
            raise ImageError(path, "is gone")
        return read_original(path, side)

    monkeypatch.setattr(foreground_file, "read_original", gone)
    monkeypatch.setattr(sharpened_file, "read_original", gone)
    found = discover(discs, Colours(), replace(SETTINGS, crf=Crf()))
    assert len(found.images) == 5 and iou(found.masks(1)[0], 1) > 0.95
    plain = discover(discs, Colours(), Settings(k=2, resize=Resize("square", 128), crf=Crf()))
    assert plain.sharp[2].shape == (2, 16, 16) and plain.sharp[1].shape == (2, 120, 160)


def test_a_check_of_other_pictures_is_left_out(discs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = foreground_file.collect

    def fewer(folder: Path, paths: Any, *rest: Any) -> Any:
        return true(folder, paths[1:], *rest)

    monkeypatch.setattr(foreground_file, "collect", fewer)
    found = discover(discs, Colours(), SETTINGS).found.foreground
    assert found is not None and {trial.pixels for trial in found.trials} == {256}


def test_a_run_of_it_says_how_it_went_and_repeats_to_the_byte(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(discs, out, Colours(), SETTINGS)
    first = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    run(discs, out, Colours(), SETTINGS)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first
    said = tomllib.loads((out / "run.toml").read_text())
    assert said["settings"]["foreground"] is True and "k" not in said["settings"]
    assert said["quality"]["sure"] == "high" and said["thresholds"]["values"] == [0.5]
    told = json.loads((out / "results.json").read_text())["foreground"]
    assert told["trials"][told["chosen"]]["prior"] in ("centre", "border") and told["agreement"] > 0.9


def test_settings_of_concepts_are_refused_on_its_folder(discs: Path, tmp_path: Path) -> None:
    run(discs, tmp_path / "out", Colours(), SETTINGS)
    with pytest.raises(UsageError, match="other settings"):
        run(discs, tmp_path / "out", Colours(), Settings(k=1, resize=Resize("square", 256)))


def test_its_bank_projects_a_picture_that_comes_later(discs: Path, tmp_path: Path) -> None:
    run(discs, tmp_path / "out", Colours(), SETTINGS)
    bank = read_bank(tmp_path / "out" / "bank.npz")
    assert bank.foreground is not None and len(bank.W) == 0
    model = bank.foreground
    pixels = read_picture(discs / "3.png", model.resize).pixels
    values = Colours()(pixels[None])
    view = View(rows_of(values), [Grid(*values.shape[2:])], model.resize)
    with Image.open(discs / "3.png") as image:
        (map_of_it,) = project(model, view, [np.asarray(image)])
    assert iou(map_of_it >= 128, 3) > 0.95


def test_its_masks_are_exported_under_its_name(discs: Path, tmp_path: Path) -> None:
    run(discs, tmp_path / "out", Colours(), SETTINGS)
    with read_run(tmp_path / "out") as stored:
        exported = export_masks(stored, tmp_path / "masks", ("png",))
    assert [part.name for part in exported.parts] == ["foreground"]
    (path,) = (tmp_path / "masks").rglob("*2.png")
    with Image.open(path) as image:
        assert iou(np.asarray(image.convert("L")) > 0, 2) > 0.95


def test_it_needs_pictures_to_share_something(discs: Path) -> None:
    with pytest.raises(UsageError, match="in each picture by itself"):
        Settings(foreground=True, per_image=True)
    alone = discover(discs / "1.png", Colours(), SETTINGS)
    assert alone.found.foreground is not None and alone.found.foreground.sure == "low"


def test_a_size_that_cannot_be_halved_is_not_checked(discs: Path) -> None:
    found = discover(discs, Colours(), Settings(foreground=True, resize=Resize("square", 96)))
    assert found.found.foreground is not None
    assert {trial.pixels for trial in found.found.foreground.trials} == {96}
