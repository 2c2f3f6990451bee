"""Folders whose activations memory does not hold, and concepts that some of the pictures teach."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_backbone import Colours
from killing import contents
from made_pictures import picture

from dff_onnx.errors import UsageError
from dff_onnx.images import Resize
from dff_onnx.maps import Crf, Threshold, offsets
from dff_onnx.runs.apply import ApplySettings, project_folder
from dff_onnx.runs.discover import discover
from dff_onnx.runs.machine import bytes_of, machine_memory
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings

SMALL = Settings(k=3, resize=Resize("square", 64), report=3, overlays=2)


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Thirty pictures of two sizes, one of them damaged."""
    made = tmp_path / "several"
    made.mkdir()
    for seed in range(30):
        picture(seed, 120 if seed % 3 else 90).save(made / f"{seed:02}.png")
    (made / "11.png").write_bytes(b"nothing")
    return made


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        replace(SMALL, k="auto", resize=Resize("short", 64)),
        replace(SMALL, crf=Crf(), threshold=Threshold("otsu")),
        replace(SMALL, solver="hals", threshold=Threshold("fraction")),
        replace(SMALL, solver="mu"),
        replace(SMALL, k=1),
        replace(SMALL, per_image=True),
        replace(SMALL, foreground=True, resize=Resize("square", 96)),
        replace(SMALL, sample=9, crf=Crf()),
    ],
    ids=["square", "auto", "crf", "hals", "mu", "one concept", "per image", "foreground", "sample"],
)
def test_what_is_written_does_not_depend_on_the_memory(settings: Settings, several: Path, tmp_path: Path) -> None:
    run(several, tmp_path / "held", Colours(), settings, memory=2**40)
    run(several, tmp_path / "mapped", Colours(), settings, memory=0)
    assert contents(tmp_path / "held") == contents(tmp_path / "mapped")
    assert len(contents(tmp_path / "held")) >= 8


def test_a_large_set_holds_its_coefficients_and_records_on_disk(several: Path, tmp_path: Path) -> None:
    found, small = (run(several, tmp_path / str(memory), Colours(), SMALL, memory=memory) for memory in (0, 2**30))
    assert isinstance(found.H, np.memmap) and not isinstance(found.images, tuple)
    assert not isinstance(small.H, np.memmap)
    # They can be read as long as somebody has them, though the folder has them no more.
    assert tuple(found.images) == small.images and found.images[3:5] == small.images[3:5]
    assert [found.found.scores_of(j) for j in range(3)] == [small.found.scores_of(j) for j in range(3)]
    assert (found.heat_map(7) == small.heat_map(7)).all() and (found.masks(7) == small.masks(7)).all()
    with pytest.raises(IndexError):
        found.images[len(found.images)]


def test_concepts_of_a_sample_are_found_in_all_pictures_as_their_bank_finds_them(several: Path) -> None:
    found = discover(several, Colours(), replace(SMALL, sample=10))
    bank = found.bank()
    assert bank is not None and found.found.fit is not None and len(found.images) == 29
    assert found.found.fit.rows == 10 * 64  # of ten pictures, eight cells square
    applied = project_folder(bank, several, Colours(), ApplySettings())
    assert (applied.H == found.H).all()
    assert [image.loss for image in applied.images] == [image.loss for image in found.images]
    # Thresholds and scores are the whole set's.
    assert max(found.found.scores_of(0)) == 1.0
    whole = discover(several, Colours(), SMALL)
    assert whole.W is not None and found.W is not None
    assert (np.abs(found.W @ whole.W.T).max(axis=1) > 0.95).all()


def test_a_sample_as_large_as_the_folder_is_the_folder(several: Path) -> None:
    whole, found = (discover(several, Colours(), replace(SMALL, sample=sample)) for sample in (None, 30))
    assert (whole.H == found.H).all() and whole.images == found.images


def test_a_sample_needs_shared_concepts_and_a_picture() -> None:
    with pytest.raises(UsageError, match="sample: at least one picture is needed, found 0"):
        replace(SMALL, sample=0)
    with pytest.raises(UsageError, match="does not go with per-image"):
        replace(SMALL, sample=3, per_image=True)


def test_rows_of_a_picture_are_those_of_its_grid(several: Path, tmp_path: Path) -> None:
    found = run(several, tmp_path / "out", Colours(), replace(SMALL, resize=Resize("short", 64)), memory=0)
    starts = offsets([image.grid for image in found.images])
    assert len({image.grid for image in found.images}) == 2 and starts[-1] == len(found.H)


@pytest.mark.parametrize("text", ["", "4 gallons", "-1GB", "GB", "1e9", "4GBB", "٣GB"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--memory: a size such as 4GB"):
        bytes_of(text)


def test_sizes_are_read_and_the_machine_has_some() -> None:
    assert [bytes_of(text) for text in ("0", "4GB", "4g", "1.5 KiB", "7b")] == [0, 4 * 10**9, 4 * 10**9, 1536, 7]
    assert machine_memory() > 2**26
