"""iCoseg: its layout, and what is really in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import HEIGHT, WIDTH, patch, write_mask, write_picture

from dff_onnx.datasets import read_icoseg
from dff_onnx.datasets.boxes_csv import picture_size
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Grid

NAMES = ("021 Elephants-safari/1", "036 Gymnastics-1/1", "036 Gymnastics-2/1", "037 Skating/1", "037 Skating/2")


@pytest.fixture
def icoseg(tmp_path: Path) -> Path:
    for name in NAMES:
        write_picture(tmp_path / "images" / f"{name}.jpg")
        write_mask(tmp_path / "ground_truth" / f"{name}.png", patch((1, 1, 4, 4)), "1")
    return tmp_path


def test_each_group_has_its_pictures_and_masks(icoseg: Path) -> None:
    data = read_icoseg(icoseg)
    assert data.name == "iCoseg" and data.notes == ()
    assert [(g.name, len(g.pictures)) for g in data.groups] == [
        ("021 Elephants-safari", 1), ("036 Gymnastics-1", 1), ("036 Gymnastics-2", 1), ("037 Skating", 2),
    ]  # fmt: skip
    mask = data.groups[0].pictures[0].mask
    assert mask is not None and mask.read(Grid(HEIGHT, WIDTH)).on.sum() == 9


def test_groups_are_chosen_by_full_name_or_by_a_word(icoseg: Path) -> None:
    chosen = read_icoseg(icoseg, ["gymnastics", "021 Elephants-safari"])
    assert [g.name for g in chosen.groups] == ["021 Elephants-safari", "036 Gymnastics-1", "036 Gymnastics-2"]
    assert [g.name for g in read_icoseg(icoseg, ["036 Gymnastics-2"]).groups] == ["036 Gymnastics-2"]
    for unknown in ("penguins", ""):
        with pytest.raises(UsageError, match=r"no group holds .*; there are 021 Elephants-safari, |empty word"):
            read_icoseg(icoseg, [unknown])


def test_a_missing_mask_of_a_group_that_is_not_chosen_does_not_matter(icoseg: Path) -> None:
    (icoseg / "ground_truth" / "037 Skating" / "2.png").unlink()
    assert len(read_icoseg(icoseg, ["Elephants"]).groups) == 1
    with pytest.raises(DatasetError, match=r"ground_truth/037 Skating/2\.png: there is no such mask"):
        read_icoseg(icoseg)
    assert read_icoseg(icoseg, missing="skip").notes[0].startswith("1 picture without a mask")


def test_part_masks_are_read_where_somebody_made_them(icoseg: Path) -> None:
    write_mask(icoseg / "parts" / "037 Skating" / "2" / "head.png", patch((1, 1, 2, 2)))
    first, second = read_icoseg(icoseg, ["Skating"]).groups[0].pictures
    assert first.parts is None
    assert second.parts is not None and second.parts.read(Grid(HEIGHT, WIDTH)).names == ("head",)


@pytest.mark.parametrize("folder", ["images", "ground_truth"])
def test_a_folder_that_is_not_there_is_named(folder: str, icoseg: Path) -> None:
    (icoseg / folder).rename(icoseg / "elsewhere")
    with pytest.raises(DatasetError, match=f"{folder}: there is no such folder"):
        read_icoseg(icoseg)


def test_the_real_set_has_a_mask_that_fits_every_picture(real_data: Path) -> None:
    data = read_icoseg(real_data / "icoseg")
    assert len(data.groups) >= 20 and data.notes == ()
    for group in data.groups:
        for annotated in group.pictures:
            size = picture_size(annotated.picture)
            assert size is not None and annotated.mask is not None
            truth = annotated.mask.read(size)
            assert truth.box() is not None and not truth.void.any()
