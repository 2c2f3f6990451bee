"""Masks in files, and folders of masks beside folders of pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, patch, write_mask, write_picture
from PIL import Image
from scipy.ndimage import find_objects

from dff_onnx.datasets import MaskFile, NumberedParts, PartFolder, Truth, read_masks
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box, Grid

SIZE = Grid(HEIGHT, WIDTH)


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_a_mask_comes_back_from_one_bit_from_grey_and_from_a_palette(mode: str, tmp_path: Path) -> None:
    truth = MaskFile(write_mask(tmp_path / "a.png", patch((2, 1, 7, 5), 1), mode)).read(SIZE)
    np.testing.assert_array_equal(truth.on, patch((2, 1, 7, 5)) > 0)
    assert truth.on.dtype == bool and not truth.void.any()
    assert truth.box() == Box(2, 1, 7, 5)


def test_in_a_grey_mask_255_is_object_and_in_a_palette_it_is_void(tmp_path: Path) -> None:
    values = patch((0, 0, 3, 3), 255) + patch((5, 5, 8, 8), 4)
    grey = MaskFile(write_mask(tmp_path / "grey.png", values)).read(SIZE)
    assert grey.on.sum() == 18 and not grey.void.any()
    palette = MaskFile(write_mask(tmp_path / "palette.png", values, "P")).read(SIZE)
    np.testing.assert_array_equal(palette.void, patch((0, 0, 3, 3)) > 0)
    np.testing.assert_array_equal(palette.on, patch((5, 5, 8, 8)) > 0)


def test_void_and_the_value_of_the_object_can_be_told(tmp_path: Path) -> None:
    values = patch((0, 0, 3, 3), 255) + patch((5, 5, 8, 8), 4) + patch((9, 0, 11, 2), 6)
    truth = MaskFile(write_mask(tmp_path / "a.png", values), void=255, value=6).read(SIZE)
    assert truth.void.sum() == 9
    assert truth.box() == Box(9, 0, 11, 2)


def test_an_empty_mask_is_allowed_and_has_no_box(tmp_path: Path) -> None:
    truth = MaskFile(write_mask(tmp_path / "a.png", np.zeros((HEIGHT, WIDTH)))).read(SIZE)
    assert not truth.on.any() and truth.box() is None


def test_the_box_is_the_one_that_scipy_finds() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        shape = tuple(rng.integers(1, 12, 2))
        on = rng.random(shape) < rng.choice([0.02, 0.1, 0.6])
        found = find_objects(on.astype(np.uint8))
        expected = [Box(x.start, y.start, x.stop, y.stop) for y, x in found]
        assert [Truth(on, np.zeros_like(on)).box()] == (expected or [None])


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "small.png", np.zeros((4, 5)))
    with pytest.raises(DatasetError, match=r"small\.png: the mask has 5x4 pixels, and its picture has 12x8"):
        MaskFile(path).read(SIZE)


def test_the_size_is_checked_before_a_bomb_is_decoded(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(DatasetError, match=r"bomb\.png: "):
        MaskFile(tmp_path / "bomb.png").read(SIZE)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16", "LA"])
def test_a_mask_in_colours_or_16_bits_is_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: the mask has the mode .*save it as"):
        MaskFile(tmp_path / "a.png").read(SIZE)


def test_what_is_no_mask_is_refused_with_its_path(tmp_path: Path) -> None:
    good = write_mask(tmp_path / "good.png", patch((1, 1, 5, 5))).read_bytes()
    write_picture(tmp_path / "jpeg.jpg").rename(tmp_path / "jpeg.png")
    for name, data in {
        "empty": b"",
        "text": b"no mask",
        "cut": good[:-30],
        "bits": good[:45] + b"\0\0\0" + good[48:],
    }.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    for name in ("empty", "text", "cut", "bits", "jpeg", "missing"):
        with pytest.raises(DatasetError, match=rf"{name}\.png: "):
            MaskFile(tmp_path / f"{name}.png").read(SIZE)


def test_of_200_mutated_masks_none_gives_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    good = write_mask(tmp_path / "good.png", patch((1, 1, 5, 5)), "P").read_bytes()
    path = tmp_path / "bad.png"
    for _ in range(200):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)])
        try:
            assert MaskFile(path).read(SIZE).on.shape == (HEIGHT, WIDTH)
        except DatasetError as error:
            assert "bad.png" in str(error)


def test_parts_are_read_one_a_file_or_by_number(tmp_path: Path) -> None:
    write_mask(tmp_path / "p" / "trunk.png", patch((0, 0, 2, 2)))
    write_mask(tmp_path / "p" / "ear.png", patch((1, 1, 4, 4)))
    parts = PartFolder(tmp_path / "p").read(SIZE)
    assert parts.names == ("ear", "trunk") and parts.masks.shape == (2, HEIGHT, WIDTH)
    assert parts.masks.sum(axis=(1, 2)).tolist() == [9, 4]
    values = patch((0, 0, 2, 2), 7) + patch((4, 4, 6, 7), 2) + patch((9, 0, 12, 1), 255)
    numbered = NumberedParts(write_mask(tmp_path / "q.png", values, "P"), {2: "leg", 7: "ear", 9: "tail"}).read(SIZE)
    assert numbered.names == ("leg", "ear")
    np.testing.assert_array_equal(numbered.masks, np.stack([values == 2, values == 7]))


def test_a_picture_without_parts_has_none_of_them(tmp_path: Path) -> None:
    assert PartFolder(tmp_path / "none").read(SIZE).masks.shape == (0, HEIGHT, WIDTH)
    blank = write_mask(tmp_path / "q.png", np.zeros((HEIGHT, WIDTH)))
    assert NumberedParts(blank, {}).read(SIZE).masks.shape == (0, HEIGHT, WIDTH)


def test_a_number_without_a_name_is_refused(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "q.png", patch((0, 0, 2, 2), 3))
    with pytest.raises(DatasetError, match=r"q\.png: has pixels of the value 3, which parts\.json does not name"):
        NumberedParts(path, {1: "leg"}).read(SIZE)


def paired(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    for name in names:
        write_picture(tmp_path / "pictures" / f"{name}.jpg")
        write_mask(tmp_path / "masks" / f"{name}.png", patch((1, 1, 4, 4)))
    return tmp_path / "pictures", tmp_path / "masks"


def test_subfolders_are_groups_and_loose_pictures_one_of_the_folders_name(tmp_path: Path) -> None:
    data = read_masks(*paired(tmp_path, "cats/a", "cats/deep/b", "dogs/a", "c"))
    assert {g.name: [a.picture.stem for a in g.pictures] for g in data.groups} == {
        "pictures": ["c"], "cats": ["a", "b"], "dogs": ["a"],
    }  # fmt: skip
    for group in data.groups:
        for annotated in group.pictures:
            assert annotated.mask is not None and annotated.mask.read(SIZE).box() == Box(1, 1, 4, 4)
            assert annotated.picture.is_file() and annotated.size is None and annotated.parts is None
    assert data.notes == ()


def test_masks_are_not_opened_before_they_are_asked_for(tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "a")
    (masks / "a.png").write_bytes(b"")
    found = read_masks(pictures, masks).groups[0].pictures[0]
    with pytest.raises(DatasetError, match=r"a\.png"):
        assert found.mask is not None and found.mask.read(SIZE)


def test_a_picture_without_mask_is_refused_or_left_out_with_a_note(tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "a", "b")
    (masks / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"masks/b\.png: there is no such mask, .*pictures/b\.jpg"):
        read_masks(pictures, masks)
    data = read_masks(pictures, masks, missing="skip")
    assert [a.picture.name for a in data.groups[0].pictures] == ["a.jpg"]
    assert data.notes == (f"1 picture without a mask in {masks}: left out",)
    (masks / "a.png").unlink()
    with pytest.raises(DatasetError, match="holds no mask for any picture"):
        read_masks(pictures, masks, missing="skip")
    with pytest.raises(UsageError, match="one of error, skip"):
        read_masks(pictures, masks, missing="ignore")  # type: ignore[arg-type]


def test_two_pictures_that_would_share_a_mask_are_refused(tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "a")
    write_picture(pictures / "a.png")
    with pytest.raises(DatasetError, match=r"a\.png and a\.jpg would share the mask"):
        read_masks(pictures, masks)


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "a")
    (tmp_path / "empty").mkdir()
    for arguments in ((pictures, tmp_path / "no"), (tmp_path / "no", masks), (pictures, masks, tmp_path / "no")):
        with pytest.raises(DatasetError, match="no: there is no such folder"):
            read_masks(*arguments)
    with pytest.raises(DatasetError, match="empty: holds no pictures"):
        read_masks(tmp_path / "empty", masks)


def test_part_masks_are_found_in_either_form_with_their_legend(tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "cats/a", "cats/b", "cats/c")
    parts = tmp_path / "parts"
    write_mask(parts / "cats" / "a" / "head.png", patch((1, 1, 3, 3)))
    write_mask(parts / "cats" / "b.png", patch((1, 1, 4, 2), 5))
    (parts / "cats" / "parts.json").write_text(json.dumps({"5": "tail"}))
    a, b, c = read_masks(pictures, masks, parts).groups[0].pictures
    assert a.parts is not None and a.parts.read(SIZE).names == ("head",)
    assert b.parts is not None and b.parts.read(SIZE).names == ("tail",)
    assert c.parts is None


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", '{"0": "a"}', '{"256": "a"}', '{"x": "a"}', '{"1": 2}', '{"1": ""}', '{"1": "a", "2": "a"}',
     '{"1": "a", "01": "b"}', '{"1": "a\\nb"}', "[" * 100_000],
)  # fmt: skip
def test_a_legend_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    pictures, masks = paired(tmp_path, "cats/a")
    write_mask(tmp_path / "parts" / "cats" / "a.png", patch((1, 1, 4, 2), 5))
    (tmp_path / "parts" / "cats" / "parts.json").write_text(text)
    with pytest.raises(DatasetError, match=r"parts\.json: "):
        read_masks(pictures, masks, tmp_path / "parts")
