"""CUB-200-2011: its lists, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from birds import Bird, write_lists
from layouts import write_picture

from dff_onnx.datasets.cub import read_cub
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box

BIRDS = [
    Bird("001.Auk/Auk 1.jpg", 1, 1, "60.0 27.0 325.0 304.0"),
    Bird("001.Auk/Auk_2.jpg", 1, 0, "0.4 1.6 2.5 2.5"),
    Bird("002.Jay/Jay_1.jpg", 2, 1, "-3 0 9 1e1"),
]
CLASSES = ["001.Auk", "002.Jay"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for bird in BIRDS:
        write_picture(tmp_path / "CUB_200_2011" / "images" / bird.name)
    return write_lists(tmp_path / "CUB_200_2011", BIRDS, CLASSES)


def test_every_list_says_its_part(home: Path) -> None:
    found = read_cub(home)
    assert found.classes == tuple(CLASSES) and found.root == home
    assert [one.path.relative_to(home / "images").as_posix() for one in found.pictures] == [b.name for b in BIRDS]
    assert [one.label for one in found.pictures] == [0, 0, 1]
    assert [one.train for one in found.pictures] == [True, False, True]
    assert [one.box for one in found.pictures] == [Box(60, 27, 385, 331), Box(0, 1, 3, 5), Box(-3, 0, 6, 10)]
    assert read_cub(home.parent) == found
    assert found.name == "CUB_200_2011"  # three pictures are not the set itself


def test_lists_may_have_any_order_and_line_ends(home: Path) -> None:
    expected = read_cub(home)
    for name in ("image_class_labels", "bounding_boxes", "train_test_split"):
        lines = (home / f"{name}.txt").read_text().splitlines()
        (home / f"{name}.txt").write_bytes("\r\n".join(reversed(lines)).encode())
    assert read_cub(home) == expected


BROKEN = {
    "no list": ("classes", None, "cannot be read"),
    "an empty list": ("images", "\n", "is empty"),
    "no number": ("images", "one 001.Auk/Auk 1.jpg", "line 1: begins with 'one'"),
    "no name": ("images", "1", "line 1: has ''"),
    "a number twice": ("train_test_split", "1 1\n1 0\n3 1", "line 2: has the number 1 a second time"),
    "a picture less": ("bounding_boxes", "1 1 1 2 2\n2 1 1 2 2", "says nothing of picture 3"),
    "a picture more": ("train_test_split", "1 1\n2 0\n3 1\n4 1", "line 4: speaks of picture 4"),
    "a name outside": ("images", "1 ../x.jpg\n2 a\n3 b", "which is no file inside"),
    "an absolute name": ("images", "1 /etc/passwd\n2 a\n3 b", "which is no file inside"),
    "no such picture": ("images", "1 a.jpg\n2 b.jpg\n3 c.jpg", "line 1: there is no picture"),
    "an unknown class": ("image_class_labels", "1 1\n2 1\n3 7", "line 3: names the class '7'"),
    "no flag": ("train_test_split", "1 1\n2 2\n3 1", "line 2: has '2'"),
    "three figures": ("bounding_boxes", "1 1 1 2 2\n2 1 2 3\n3 1 1 1 1", "line 2: has '1 2 3'"),
    "no figure": ("bounding_boxes", "1 1 1 2 2\n2 1 1 nan 2\n3 1 1 1 1", "line 2: the box 1 1 nan 2 cannot be"),
    "an endless box": ("bounding_boxes", "1 1 1 2 2\n2 1 1 inf 2\n3 1 1 1 1", "cannot be"),
    "a flat box": ("bounding_boxes", "1 1 1 2 2\n2 1 1 0 2\n3 1 1 1 1", "cannot be"),
    "no train picture": ("train_test_split", "1 1\n2 0\n3 0", "has no picture of the class '002.Jay'"),
    "no test picture": ("train_test_split", "1 1\n2 1\n3 1", "leaves no picture for the test set"),
    "one class": ("classes", "1 001.Auk", "names the class '2'"),
    "no text": ("classes", "\udcff", "is no UTF-8"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_list_is_named(case: str, home: Path) -> None:
    name, text, said = BROKEN[case]
    path = home / f"{name}.txt"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetError) as caught:
        read_cub(home)
    assert f"{name}.txt" in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_folder_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="give the folder of CUB-200-2011"):
        read_cub(tmp_path / "nowhere")
