"""Queries are cut out first, and made as much smaller as their whole picture would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dff_onnx.errors import ImageError, UsageError
from dff_onnx.images import query_size, read_query, read_size
from dff_onnx.records import Box, Grid


def test_a_part_takes_the_factor_of_the_whole() -> None:
    full = Grid(768, 1024)
    assert query_size(full, None, 512) == (512, 384)
    assert query_size(full, Box(0, 0, 1024, 768), 512) == (512, 384)
    assert query_size(full, Box(100, 100, 600, 400), 512) == (250, 150)  # and not 512 x 307
    assert query_size(Grid(1024, 768), Box(100, 100, 600, 400), 512) == (250, 150)


def test_nothing_is_enlarged() -> None:
    assert query_size(Grid(300, 400), None, 1024) == (400, 300)
    assert query_size(Grid(300, 400), Box(10, 10, 110, 60), 1024) == (100, 50)


def test_no_side_is_below_what_a_network_can_look_at() -> None:
    assert query_size(Grid(1000, 1000), Box(0, 0, 1000, 100), 100) == (100, 32)


@pytest.mark.parametrize("box", [Box(0, 0, 401, 300), Box(-1, 0, 4, 3), Box(5, 5, 5, 9), Box(0, 9, 4, 300 + 1)])
def test_a_box_that_is_not_inside_is_refused(box: Box) -> None:
    with pytest.raises(UsageError, match="is not inside its picture, which has 400x300 pixels"):
        query_size(Grid(300, 400), box, 224)


@pytest.mark.parametrize("side", [0, 31, 8193])
def test_a_side_that_cannot_be_is_refused(side: int) -> None:
    with pytest.raises(UsageError, match=f"found {side}"):
        query_size(Grid(300, 400), None, side)


def test_the_part_is_cut_before_it_is_resized(tmp_path: Path) -> None:
    pixels = np.zeros((200, 400, 3), np.uint8)
    pixels[50:150, 100:300] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_query(tmp_path / "a.png", Box(100, 50, 300, 150), 200)
    assert found.pixels.shape == (50, 100, 3) and found.original == Grid(100, 200)
    assert (found.pixels == (10, 200, 30)).all()  # nothing of the surroundings bleeds in
    whole = read_query(tmp_path / "a.png", None, 1000)
    assert (whole.pixels == pixels).all() and whole.original == Grid(200, 400)


def test_boxes_are_in_the_picture_after_its_turn(tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 200))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_size(tmp_path / "a.jpg") == Grid(400, 200)
    assert read_query(tmp_path / "a.jpg", Box(0, 200, 200, 400), 200).pixels.shape == (100, 100, 3)


def test_the_size_alone_is_read_without_decoding(tmp_path: Path) -> None:
    Image.effect_noise((400, 200), 60).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    assert read_size(tmp_path / "cut.jpg") == Grid(200, 400)
    with pytest.raises(ImageError, match="cut short"):
        read_query(tmp_path / "cut.jpg", None, 200)
    (tmp_path / "none.jpg").write_bytes(b"<html>")
    with pytest.raises(ImageError, match="is not a picture"):
        read_size(tmp_path / "none.jpg")
