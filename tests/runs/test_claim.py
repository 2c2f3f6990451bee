"""A run's folder: whose it is, and that an earlier run stays until another one is there to replace it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours
from PIL import Image

from dff_onnx.errors import DatasetError, DffError, ModelError, UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.runs.apply import ApplySettings, apply
from dff_onnx.runs.discover import discover
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.write_tree import run_tree

SMALL = Settings(k=3, resize=Resize("square", 64), overlays="none", report="none")
TWO = replace(SMALL, k=2)


class Broken(Colours):
    """Gives what is no number in one place."""

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        values = super().__call__(pixels)
        values[0, 1, 0, 0] = np.nan
        return values


class Unused(Colours):
    """Must not be asked."""

    def __call__(self, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        raise AssertionError(f"{len(pixels)} pictures were read")


class Other(Colours):
    """Of another network."""

    fingerprint = Fingerprint("1" * 64, "colours", Preprocessing())


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["no folder", "broken network", "masks", "tree", "bank"])
def test_a_run_that_fails_leaves_the_earlier_one_as_it_was(kind: str, folder: Path, tmp_path: Path) -> None:
    out, bank = tmp_path / "out", discover(folder, Colours(), TWO).bank()
    assert bank is not None
    run(folder, out, Colours(), SMALL)
    (out / "labels.json").write_text('{"0": "wing"}')
    before = files(out)
    with pytest.raises(DffError):
        if kind == "no folder":
            run(tmp_path / "nothing", out, Colours(), TWO, overwrite=True)
        elif kind == "broken network":
            run(folder, out, Broken(), TWO, overwrite=True)
        elif kind == "masks":
            (tmp_path / "masks").mkdir()
            run(folder, out, Colours(), TWO, truth=tmp_path / "masks", overwrite=True)
        elif kind == "tree":
            run_tree(folder, out, Colours(), [1, 5], SMALL, overwrite=True)
        else:
            apply(bank, folder, out, Other(), overwrite=True)
    assert files(out) == before


def test_of_an_earlier_run_nothing_is_left_beside_the_one_that_replaces_it(folder: Path, tmp_path: Path) -> None:
    out, bank, quiet = tmp_path / "out", discover(folder, Colours(), TWO).bank(), ApplySettings(overlays="none")
    assert bank is not None
    makers = {
        "run": lambda home: run(folder, home, Colours(), SMALL, overwrite=True),
        "tree": lambda home: run_tree(folder, home, Colours(), [1, 2], SMALL, overwrite=True),
        "further tree": lambda home: run_tree(folder, home, Colours(), [2, 3], SMALL, overwrite=True),
        "apply": lambda home: apply(bank, folder, home, Colours(), quiet, overwrite=True),
        "each": lambda home: run(folder, home, Colours(), replace(TWO, per_image=True), overwrite=True),
    }
    alone = {}
    for name, make in makers.items():
        make(tmp_path / name)
        alone[name] = files(tmp_path / name)
    for name in ("run", "tree", "further tree", "run", "apply", "tree", "apply", "each"):
        makers[name](out)
        assert files(out) == alone[name], name
        (out / "labels.json").write_text('{"0": "wing"}')  # names of concepts that the next run has not


def test_other_masks_and_another_crf_make_another_run(folder: Path, tmp_path: Path) -> None:
    found = discover(folder, Colours(), TWO)
    bank = found.bank()
    assert bank is not None
    for masks in (tmp_path / "masks", tmp_path / "more"):
        for number, path in enumerate(found.paths):
            (masks / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(found.masks(number)[0].astype(np.uint8) * 255).save(masks / path)
    run(folder, tmp_path / "run", Colours(), TWO, truth=tmp_path / "masks")
    for other in (None, tmp_path / "more"):
        with pytest.raises(UsageError, match=r"settings\.truth: '.*masks' there"):
            run(folder, tmp_path / "run", Colours(), TWO, truth=other)
    plain = ApplySettings(overlays="none", report="none")
    apply(bank, folder, tmp_path / "applied", Colours(), plain)
    with pytest.raises(UsageError, match=r"settings\.crf: 'none' there"):
        apply(bank, folder, tmp_path / "applied", Colours(), replace(plain, crf=Crf()))
    with pytest.raises(UsageError, match=r"settings\.truth: nothing there"):
        apply(bank, folder, tmp_path / "applied", Colours(), plain, truth=tmp_path / "masks")


def test_a_missing_folder_of_masks_is_told_before_a_picture_is_read(folder: Path, tmp_path: Path) -> None:
    bank = discover(folder, Colours(), TWO).bank()
    assert bank is not None
    with pytest.raises(DatasetError, match="masks: there is no such folder"):
        run(folder, tmp_path / "out", Unused(), TWO, truth=tmp_path / "masks")
    with pytest.raises(DatasetError, match="masks: there is no such folder"):
        apply(bank, folder, tmp_path / "out", Unused(), truth=tmp_path / "masks")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="--per-image"):
        run(folder, tmp_path / "out", Unused(), replace(TWO, per_image=True), truth=tmp_path / "masks")


@pytest.mark.parametrize("settings", [TWO, replace(SMALL, foreground=True)], ids=["concepts", "foreground"])
def test_activations_that_are_no_numbers_are_the_networks_fault(settings: Settings, folder: Path) -> None:
    with pytest.raises(ModelError, match=r"layer colours: has activations that are not finite \(nan\)"):
        discover(folder, Broken(), settings)
