from __future__ import annotations

import csv
import io
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

import dff_onnx.runs.discover as discover_file
from dff_onnx.concepts.bank import read_bank
from dff_onnx.datasets.class_names import names_for
from dff_onnx.errors import ModelError, NoImagesError, OutputError, UsageError
from dff_onnx.factorization import whole_images
from dff_onnx.images import Resize
from dff_onnx.maps import Threshold, mask, set_percentile, upsample
from dff_onnx.records import Grid
from dff_onnx.runs.discover import discover
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

SMALL = Settings(k=3, resize=Resize("square", 64))


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_planted_colours_become_concepts(folder: Path) -> None:
    found = discover(folder, Colours(), SMALL)
    assert found.W is not None
    assert sorted(found.W[:, :3].argmax(axis=1).tolist()) == [0, 1, 2]
    assert found.found.fit is not None and found.found.fit.loss < 0.1
    assert [image.path for image in found.images] == [*(f"{i}.png" for i in range(6)), "deep/6.png"]


def test_boxes_lie_on_the_planted_squares(folder: Path) -> None:
    found = discover(folder, Colours(), Settings(k=3, resize=Resize("square", 128), threshold=Threshold(percentile=90)))
    assert found.W is not None
    with Image.open(folder / "0.png") as image:
        pixels = np.asarray(image)
    for concept in range(3):
        channel = int(found.W[concept].argmax())
        square = pixels[:, :, channel] > pixels.mean(axis=2) + 40
        rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
        box = found.images[0].concepts[concept].box
        assert box is not None
        centre = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
        assert columns[0] <= centre[0] <= columns[-1] and rows[0] <= centre[1] <= rows[-1]


def test_regions_are_those_of_the_mask_at_the_pictures_size(folder: Path) -> None:
    found = discover(folder, Colours(), SMALL)
    thresholds = np.asarray([concept.threshold for concept in found.found.concepts], np.float32)
    for index, image in enumerate(found.images):
        masks = mask(upsample(found.heat_map(index), image.size.height, image.size.width), thresholds)
        for here, on in zip(image.concepts, masks, strict=True):
            assert here.share == pytest.approx(on.mean(), abs=1e-4)


def test_names_of_classes_without_a_head_are_refused_before_any_picture_is_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no classifier's head takes the activations of"):
        run(folder, tmp_path / "out", Colours(), SMALL, names=names_for(3))
    assert not (tmp_path / "out").exists()


def test_a_run_writes_what_the_design_lists(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), SMALL)
    names = contents(tmp_path / "out")
    assert set(names) == {
        "results.json", "boxes.csv", "coco.json", "failures.json", "bank.npz", "maps.npz", "run.toml", "report.html",
        "overlays/deep/6.png",
        *(f"overlays/{i}.png" for i in range(6)),
    }  # fmt: skip
    results = json.loads(names["results.json"])
    assert results["images"][0]["overlay"] == "overlays/0.png"
    assert len(results["concepts"]) == 3 and results["failures"] == [] == json.loads(names["failures.json"])
    assert tomllib.loads(names["run.toml"].decode())["settings"]["k"] == 3
    rows = list(csv.DictReader(io.StringIO(names["boxes.csv"].decode())))
    regions = [region for image in found.images for here in image.concepts for region in here.regions]
    assert len(rows) == len(regions) == len(json.loads(names["coco.json"])["annotations"])
    bank = read_bank(tmp_path / "out" / "bank.npz")
    assert found.W is not None and bank.W.tobytes() == found.W.tobytes()
    assert bank.fingerprint == Colours.fingerprint
    with Image.open(tmp_path / "out" / "overlays" / "0.png") as drawn:
        assert drawn.width == 120


@pytest.mark.parametrize("per_image", [False, True])
def test_the_same_run_twice_is_byte_identical(folder: Path, tmp_path: Path, per_image: bool) -> None:
    settings = Settings(k=2, resize=Resize("long", 96), per_image=per_image)
    run(folder, tmp_path / "a", Colours(), settings)
    run(folder, tmp_path / "b", Colours(), settings)
    first = contents(tmp_path / "a")
    assert first == contents(tmp_path / "b")
    run(folder, tmp_path / "a", Colours(), settings)
    assert first == contents(tmp_path / "a")


def test_any_number_of_workers_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for workers in (1, 2, 5):
        backbone = Colours()
        backbone.workers = workers
        run(folder, tmp_path / str(workers), backbone, SMALL)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "5")


def test_pictures_that_keep_their_aspect_have_their_own_grids(folder: Path) -> None:
    Image.new("RGB", (60, 200), "red").save(folder / "tall.png")
    found = discover(folder, Colours(), Settings(k=2, resize=Resize("short", 64)))
    grids = {image.path: image.grid for image in found.images}
    assert grids["tall.png"].height > grids["tall.png"].width and grids["0.png"].height < grids["0.png"].width
    assert sum(grid.cells for grid in grids.values()) == len(found.H)


def test_one_picture_alone_works(folder: Path, tmp_path: Path) -> None:
    found = run(folder / "0.png", tmp_path / "out", Colours(), SMALL)
    assert [image.path for image in found.images] == ["0.png"]
    assert (tmp_path / "out" / "overlays" / "0.png").exists()


def test_per_image_gives_each_picture_its_own_concepts(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), Settings(k=2, resize=Resize("square", 64), per_image=True))
    assert found.bank() is None and not (tmp_path / "out" / "bank.npz").exists()
    assert all(image.fit is not None and len(image.table) == 2 for image in found.images)
    assert all(max(here.score for here in image.concepts) == 1 for image in found.images)


def test_a_bad_picture_costs_a_line_in_failures_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    good = discover(folder, Colours(), SMALL)
    (folder / "3x.jpg").write_bytes(b"no picture")
    found = run(folder, tmp_path / "out", Colours(), SMALL)
    assert [failure.path for failure in found.found.failures] == ["3x.jpg"]
    assert len(found.images) == len(good.images)
    failures = json.loads((tmp_path / "out" / "failures.json").read_text())
    assert failures[0]["path"] == "3x.jpg" and "known format" in failures[0]["reason"]
    assert found.found.fit is not None and good.found.fit is not None
    assert found.found.fit.loss == pytest.approx(good.found.fit.loss, rel=1e-3)


def test_overlays_are_as_many_as_asked_for_and_old_ones_go(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Colours(), SMALL)
    (folder / "5.png").unlink()
    run(folder, tmp_path / "out", Colours(), SMALL)
    assert len(list((tmp_path / "out" / "overlays").rglob("*.png"))) == 6
    run(folder, tmp_path / "two", Colours(), Settings(k=3, resize=Resize("square", 64), overlays=2))
    assert len(list((tmp_path / "two" / "overlays").rglob("*.png"))) == 2
    run(folder, tmp_path / "none", Colours(), Settings(k=3, resize=Resize("square", 64), overlays="none"))
    assert not (tmp_path / "none" / "overlays").exists()


def test_other_settings_on_a_run_are_refused_unless_overwritten(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "out", Colours(), SMALL)
    other = Settings(k=2, resize=Resize("square", 64))
    with pytest.raises(UsageError, match=r"settings\.k: 3 there, 2 now"):
        run(folder, tmp_path / "out", Colours(), other)
    assert run(folder, tmp_path / "out", Colours(), other, overwrite=True).found.fit.k == 2  # type: ignore[union-attr]


def test_a_folder_that_is_no_run_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="no run"):
        run(folder, tmp_path / "mine", Colours(), SMALL)


@pytest.mark.parametrize("inside", [".", "out", "deep/out"])
def test_an_output_inside_the_input_is_refused(folder: Path, inside: str) -> None:
    with pytest.raises(UsageError, match="inside the folder of pictures"):
        run(folder, folder / inside, Colours(), SMALL)


def test_an_output_that_cannot_be_made_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        run(folder, tmp_path / "file" / "out", Colours(), SMALL)


def test_a_mistake_does_not_take_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImagesError):
        run(tmp_path / "empty", tmp_path / "out", Colours(), SMALL)
    with pytest.raises(UsageError, match="no such folder"):
        run(tmp_path / "nowhere", tmp_path / "out", Colours(), SMALL)
    assert not (tmp_path / "out").exists()


def test_more_concepts_than_rows_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="k: "):
        discover(folder, Colours(), Settings(k=5, resize=Resize("square", 64)))


def test_a_folder_of_nothing_but_bad_pictures_has_no_usable_one(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(NoImagesError, match=r"a\.jpg: is empty"):
        discover(tmp_path, Colours(), SMALL)


def test_negative_activations_are_refused_with_a_way_out(folder: Path) -> None:
    class Negative(Colours):
        nonnegative = False
        neighbours = ("relu5_4",)

        def __call__(self, pixels: Any) -> Any:
            return super().__call__(pixels) - 0.5

    with pytest.raises(ModelError, match=r"nearest: relu5_4.*--rectify.*--split"):
        discover(folder, Negative(), SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"min_share": -1},
        {"overlays": -1},
        {"overlays": "some"},
        {"seed": -1},
        {"k": 2.5},
        {"resize": ("wide", 3)},
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**(options | ({"resize": Resize(*options["resize"])} if "resize" in options else {})))


def test_thresholds_are_taken_at_the_size_that_is_asked_for(folder: Path) -> None:
    sizes = {"native": Grid(8, 8), "input": Grid(64, 64), "original": Grid(90, 120)}
    for domain, size in sizes.items():
        found = discover(folder, Colours(), replace(SMALL, threshold=Threshold(percentile=90, domain=domain)))
        grids = [image.grid for image in found.images]
        theirs = set_percentile(found.H, grids, [size] * len(grids), 90)
        assert [concept.threshold for concept in found.found.concepts] == theirs.tolist()


def test_rows_are_cut_between_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, seen = discover_file.factorize, list[list[int]]()

    def noted(A: Any, k: int, *, cuts: list[int], **options: Any) -> Any:
        seen.append(cuts)
        return true(A, k, cuts=cuts, **options)

    monkeypatch.setattr(discover_file, "factorize", noted)
    found = discover(folder, Colours(), SMALL)
    cells = [image.grid.cells for image in found.images]
    assert len(cells) == 7 and seen == [whole_images(cells)]
    seen.clear()
    discover(folder, Colours(), replace(SMALL, per_image=True, k=1))
    assert seen == [whole_images([rows]) for rows in cells]


def test_the_run_file_says_how_good_the_factorization_is(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path / "out", Colours(), SMALL)
    told = tomllib.loads((tmp_path / "out" / "run.toml").read_text())["quality"]
    fit = found.found.fit
    assert fit is not None
    assert told == {"loss": fit.loss, "kkt": fit.kkt, "spread": fit.spread, "converged": fit.converged}
    run(folder, tmp_path / "own", Colours(), replace(SMALL, per_image=True, k=1))
    assert "quality" not in tomllib.loads((tmp_path / "own" / "run.toml").read_text())
