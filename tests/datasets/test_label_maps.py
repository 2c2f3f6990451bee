"""Label maps: numbers in PNG files, and their names."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from layouts import HEIGHT, WIDTH, patch, write_mask
from PIL import Image

from dff_onnx.datasets.label_maps import LabelMaps, read_label_maps
from dff_onnx.errors import DatasetError
from dff_onnx.records import Grid

SIZE = Grid(HEIGHT, WIDTH)


def four_bits() -> bytes:
    """A PNG of four bits of grey, all 1, which Pillow reads as 17."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\x11" * (WIDTH // 2)) * HEIGHT)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def opened(tmp_path: Path, text: str = "1 wall\n7 dining table\n17 lamp\n\n254 sky\n") -> LabelMaps:
    (tmp_path / "maps").mkdir(exist_ok=True)
    (tmp_path / "names.txt").write_text(text)
    return read_label_maps(tmp_path / "maps", tmp_path / "names.txt")


@pytest.mark.parametrize("mode", ["L", "P"])
def test_numbers_are_read_and_void_is_no_label(mode: str, tmp_path: Path) -> None:
    maps = opened(tmp_path)
    values = patch((2, 2, 6, 6), 7)
    values[0, :3] = (255, 254, 1)
    path = write_mask(tmp_path / "maps" / "a" / "b.png", values, mode)
    assert maps.file("a/b.jpg") == path and maps.file("a/c.jpg") is None
    values[0, 0] = 0
    np.testing.assert_array_equal(maps.read(path, SIZE), values)
    assert maps.names == {1: "wall", 7: "dining table", 17: "lamp", 254: "sky"}


def test_what_does_not_fit_is_refused_with_its_file(tmp_path: Path) -> None:
    maps = opened(tmp_path)
    path = write_mask(tmp_path / "maps" / "b.png", patch((0, 0, 2, 2), 9))
    with pytest.raises(DatasetError, match=r"b\.png: has pixels of the number 9, which has no name"):
        maps.read(path, SIZE)
    with pytest.raises(DatasetError, match="the label map has 12x8 pixels, and its picture has 8x12"):
        maps.read(path, Grid(WIDTH, HEIGHT))
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)
    with pytest.raises(DatasetError, match="mode RGB"):
        maps.read(path, SIZE)
    path.write_bytes(four_bits())
    with pytest.raises(DatasetError, match="mode L;4; save 8 bits grey"):
        maps.read(path, SIZE)
    Image.new("L", (WIDTH, HEIGHT)).save(path, "JPEG")
    with pytest.raises(DatasetError, match="is no PNG file"):
        maps.read(path, SIZE)
    data = write_mask(path, patch((0, 0, 2, 2), 1)).read_bytes()
    path.write_bytes(data[:-24])
    with pytest.raises(DatasetError, match=r"b\.png: the label map is damaged"):
        maps.read(path, SIZE)
    with pytest.raises(DatasetError, match="no file inside"):
        maps.file("../names.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no label"),
        ("wall 1", "line 1: has 'wall 1'"),
        ("1", "line 1"),
        ("0 nothing", "line 1"),
        ("1 wall\n255 void", "line 2"),
        ("1 wall\n1 floor", "line 2: gives one number or name twice"),
        ("1 wall\n2 wall", "line 2: gives one number or name twice"),
        ("1 \x1b[2J", "line 1"),
    ],
)
def test_malformed_names_are_refused_with_their_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        opened(tmp_path, text)
    assert said in str(caught.value) and "names.txt" in str(caught.value) and str(caught.value).isprintable()
