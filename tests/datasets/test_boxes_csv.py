"""Boxes from a CSV file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import write_picture
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.datasets import read_boxes
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box, Grid

HEAD = "image,x0,y0,x1,y1\n"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "deep/c.jpg"):
        write_picture(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


def table(pictures: Path, text: str) -> Path:
    path = pictures.parent / "boxes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_several_rows_of_one_picture_are_several_boxes(pictures: Path) -> None:
    data = read_boxes(pictures, table(pictures, HEAD + "b.jpg,1,2,3,4\na.jpg,0,0,1,1\nb.jpg,5,5,12,8\n"))
    assert data.name == "boxes" and [g.name for g in data.groups] == ["pictures"]
    b, a = data.groups[0].pictures
    assert b.boxes == (Box(1, 2, 3, 4), Box(5, 5, 12, 8)) and b.size == Grid(8, 12)
    assert a.boxes == (Box(0, 0, 1, 1),) and a.picture.is_file() and a.mask is None
    assert data.notes == (f"1 picture of {pictures} without a row in boxes.csv: left out",)


def test_columns_come_in_any_order_among_others_with_a_class(pictures: Path) -> None:
    text = "\ufeffY1, class ,score,x1,image,x0,y0\r\n4,cat,.5,3,a.jpg,1,2\r\n\r\n"
    text += "8,dog,.1,9.0,a.jpg,0,0\r\n4,cat,1,3,deep/c.jpg,1,2\r\n"
    data = read_boxes(pictures, table(pictures, text))
    assert [(g.name, [a.boxes for a in g.pictures]) for g in data.groups] == [
        ("cat", [(Box(1, 2, 3, 4),), (Box(1, 2, 3, 4),)]), ("dog", [(Box(0, 0, 9, 8),)]),
    ]  # fmt: skip


def test_a_quoted_name_may_hold_a_comma(pictures: Path) -> None:
    write_picture(pictures / 'x, "y".jpg')
    data = read_boxes(pictures, table(pictures, HEAD.replace("image", '"image"') + '"x, ""y"".jpg",1,2,3,4\n'))
    assert data.groups[0].pictures[0].picture.name == 'x, "y".jpg'


def test_a_box_is_cut_at_the_border_of_its_picture_and_a_note_says_so(pictures: Path) -> None:
    data = read_boxes(
        pictures, table(pictures, HEAD + "a.jpg,-3,2,30,4\na.jpg,-1,-1,2,2\nb.jpg,0,0,2,2\ndeep/c.jpg,0,0,2,2")
    )
    assert data.groups[0].pictures[0].boxes == (Box(0, 2, 12, 4), Box(0, 0, 2, 2))
    assert data.notes == ("2 boxes cut at the picture's border",)


def test_the_picture_is_measured_after_its_exif_turn(pictures: Path) -> None:
    write_picture(pictures / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
    data = read_boxes(pictures, table(pictures, HEAD + "a.jpg,0,0,8,12\n"))
    assert data.groups[0].pictures[0].size == Grid(12, 8)
    assert data.groups[0].pictures[0].boxes == (Box(0, 0, 8, 12),)


def test_a_picture_that_cannot_be_read_keeps_its_boxes_for_the_run_to_judge(pictures: Path) -> None:
    (pictures / "a.jpg").write_bytes(b"damaged")
    found = read_boxes(pictures, table(pictures, HEAD + "a.jpg,0,0,80,12\n")).groups[0].pictures[0]
    assert found.size is None and found.boxes == (Box(0, 0, 80, 12),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: has no column image, x0, y0, x1, y1"),
        ("image,x0,y0,x1\na.jpg,1,2,3\n", "line 1: has no column y1"),
        ("image,x0,y0,x1,y1,x0\n", "line 1: says one thing in two columns"),
        ("image,x0,y0,x1,y1,class,group\n", "line 1: says one thing in two columns"),
        (HEAD, "has no row below its header"),
        (HEAD + "a.jpg,1,2,3,4\na.jpg,1,2,3\n", "line 3: has 4 cells, and the header has 5"),
        (HEAD + "a.jpg,1,2,three,4\n", "line 2: x1 is 'three', and a whole number"),
        (HEAD + "a.jpg,1,2.5,3,4\n", "line 2: y0 is '2.5'"),
        (HEAD + "a.jpg,1,2,nan,4\n", "line 2: x1 is 'nan'"),
        (HEAD + "a.jpg,1,2,1_0,4\n", "line 2: x1 is '1_0'"),
        (HEAD + f"a.jpg,1,2,{'9' * 5000},4\n", "line 2: x1 is"),
        (HEAD + "a.jpg,,2,3,4\n", "line 2: x0 is ''"),
        (HEAD + "a.jpg,3,2,3,4\n", "line 2: the box 3,2,3,4 is empty"),
        (HEAD + "\na.jpg,3,5,4,4\n", "line 3: the box 3,5,4,4 is empty"),
        (HEAD + "a.jpg,12,2,20,4\n", "line 2: the box 12,2,20,4 is outside its picture of 12x8 pixels"),
        (HEAD + "z.jpg,1,2,3,4\n", "line 2: there is no picture .*z.jpg"),
        (HEAD + "../boxes.csv,1,2,3,4\n", "line 2: names '../boxes.csv', which is no file inside"),
        (HEAD + "/etc/passwd,1,2,3,4\n", "line 2: names '/etc/passwd'"),
        (HEAD + "C:\\a.jpg,1,2,3,4\n", "line 2: names 'C:"),
        (HEAD + "deep\\..\\..\\a.jpg,1,2,3,4\n", "line 2: names 'deep"),
        (HEAD + ",1,2,3,4\n", "line 2: names ''"),
        (HEAD + f"{'a' * 300}.jpg,1,2,3,4\n", "line 2: there is no picture"),
        (HEAD + f"{'a/' * 9000}.jpg,1,2,3,4\n", "line 2: there is no picture"),
        (HEAD + '"a.jpg,1,2,3,4\n', "line 2: is no CSV"),
        (HEAD + "a.jpg\0,1,2,3,4\n", "line 2: "),
        (HEAD.strip() + ",class\na.jpg,1,2,3,4, \n", "line 2: the class '' is no name"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_line(text: str, sentence: str, pictures: Path) -> None:
    with pytest.raises(DatasetError, match=rf"boxes\.csv[:,] {sentence}|boxes\.csv: .*{sentence}"):
        read_boxes(pictures, table(pictures, text))


def test_a_file_that_is_no_text_or_not_there_is_refused(pictures: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.csv: cannot be read \(No such file"):
        read_boxes(pictures, pictures / "none.csv")
    path = table(pictures, "")
    path.write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(DatasetError, match=r"boxes\.csv: is no UTF-8 text"):
        read_boxes(pictures, path)
    with pytest.raises(DatasetError, match="none: there is no such folder"):
        read_boxes(pictures / "none", path)


@tiers("mutated tables of boxes")
def test_a_mutated_table_is_read_or_refused_and_nothing_else(cases: range, pictures: Path) -> None:
    good = HEAD.replace("\n", ",class\n") + 'a.jpg,0,0,3,4,cat\nb.jpg,1,2,5,9,dog\ndeep/c.jpg,0,1,8,12,"a, b"\n'
    path = table(pictures, good)

    def judge(_: int, rng: np.random.Generator) -> str:
        path.write_bytes(mutated(good.encode(), rng, b'0189,."/\n\r-a\x00\xff'))
        try:
            found = read_boxes(pictures, path)
        except DatasetError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            return "refused"
        for one in (one for group in found.groups for one in group.pictures):
            assert all(0 <= box.x0 < box.x1 <= 12 and 0 <= box.y0 < box.y1 <= 12 for box in one.boxes)
        return "read"

    found = each(cases, judge)
    assert found["read"] > 0 and len(cases) / 3 < found["refused"]
