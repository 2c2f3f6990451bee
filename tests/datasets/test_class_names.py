"""Names of classes: ImageNet's, those from a file, and how a person finds one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dff_onnx.datasets import ClassNames, imagenet_names, names_for, read_class_names
from dff_onnx.errors import DatasetError, UsageError


def names_file(tmp_path: Path, data: str | bytes) -> Path:
    path = tmp_path / "names.txt"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_imagenets_classes_are_in_the_order_of_their_synsets() -> None:
    known = imagenet_names()
    assert len(known) == len(set(known.synsets)) == 1000 and list(known.synsets) == sorted(map(str, known.synsets))
    assert [known.names[n] for n in (0, 1, 281, 282, 999)] == [
        "tench",
        "goldfish",
        "tabby",
        "tiger cat",
        "toilet tissue",
    ]


def test_imagenets_classes_are_those_of_the_photographs(real_data: Path) -> None:
    stems = sorted(path.stem for path in (real_data / "photos").glob("*.jpg"))
    known = imagenet_names()
    said = [f"{synset}_{name.replace(' ', '_')}" for synset, name in zip(known.synsets, known.names, strict=True)]
    assert said == stems


def test_a_file_has_a_name_a_line_with_or_without_a_synset(tmp_path: Path) -> None:
    text = "\ufeffn01440764 tench, Tinca tinca\r\n# a comment\r\n cat \r\ncat\r\nn02119789\r\nn1 short\r\n\r\n\n"
    found = read_class_names(names_file(tmp_path, text))
    assert found.names == ("tench, Tinca tinca", "cat", "cat", "n02119789", "n1 short")
    assert found.synsets == ("n01440764", None, None, "n02119789", None)
    assert [found.label(n) for n in range(3)] == ["n01440764", "cat", "cat"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("", "has 0 classes, and 1 to 1048576 are needed"),
        ("\n\n", "has 0 classes"),
        ("# nothing\n", "has 0 classes"),
        ("cat\n\ndog\n", "line 2: '' is no name of a class"),
        ("cat\nd\x1bog\n", "line 2: 'd.x1bog' is no name"),
        (f"{'a' * 1001}\n", "line 1: 'aaaa"),
        (b"\xff\xfe", "is no UTF-8 text"),
        (b"a" * (16 * 2**20 + 1), "has more than"),
    ],
)
def test_a_file_that_cannot_be_is_refused(data: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_class_names(names_file(tmp_path, data))
    assert "names.txt" in str(caught.value) and str(caught.value).isprintable()


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file; give a text of class names"):
        read_class_names(tmp_path / "none.txt")


def test_names_without_a_file_depend_on_how_many_there_are() -> None:
    assert names_for(1000) is imagenet_names()
    tensorflow = names_for(1001)
    assert (tensorflow.label(0), tensorflow.synsets[0], tensorflow.label(1)) == ("background", None, "n01440764")
    assert names_for(2).names == ("class 0", "class 1") and names_for(2).synsets == (None, None)


def test_other_than_as_many_names_are_a_mistake() -> None:
    said = ClassNames(("a", "b"), (None, None))
    assert names_for(2, said) is said
    with pytest.raises(UsageError, match="2 are given and the network has 1000 classes; give a file of 1000 lines"):
        names_for(1000, said)
    with pytest.raises(UsageError, match="1 names and 2 synsets"):
        ClassNames(("a",), (None, None))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("999", 999), ("n01440764", 0), (" N01443537 ", 1), ("Tench", 0), ("great_white_shark", 2),
        ("tiger cat", 282), ("tabb", 281), ("golden retr", 207),
    ],
)  # fmt: skip
def test_a_class_is_found_by_number_synset_name_or_a_piece_of_one_name(text: str, number: int) -> None:
    assert imagenet_names().find(text) == number


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("crane", "class 'crane': fits 134 crane, 517 crane; give one's number"),
        ("poodle", "fits 265 toy poodle, 266 miniature poodle, 267 standard poodle; give one's number"),
        ("terrier", r"fits .*, \.\.\.; give one's number"),
        ("goldfihs", "there is no such class; the nearest: 1 goldfish"),
        ("qqqqqqq", "there is no such class; there are 1000, give a number or a name"),
        ("", "there is no such class"),
        ("1000", "their numbers are 0 to 999"),
        ("n99999999", "there is no such class"),
        ("x" * 5000, r"class 'x{60}'\.\.\.: there is no such class"),
    ],
)
def test_a_class_that_is_not_there_or_not_alone_is_a_mistake(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        imagenet_names().find(text)
    assert len(str(caught.value)) < 500


def test_names_that_several_classes_share_are_told_apart_by_numbers() -> None:
    apart = imagenet_names().apart()
    assert len(set(apart)) == 1000
    assert {number: name for number, name in enumerate(apart) if name != imagenet_names().names[number]} == {
        134: "crane (134)", 517: "crane (517)", 638: "maillot (638)", 639: "maillot (639)",
    }  # fmt: skip


def test_an_exact_name_comes_before_pieces_of_others() -> None:
    names = ClassNames(("cat", "wild cat", "12"), (None, None, None))
    assert names.find("CAT") == 0 and names.find("wild") == 1
    with pytest.raises(UsageError, match="their numbers are 0 to 2"):
        names.find("12")  # a number is a number
