"""ILSVRC's validation set: annotations, the development kit, Kaggle's table, and files that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ilsvrc_trees import FOX, OWN, SETTER, TENCH, name_of, write_annotation, write_kit, write_solution
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.datasets import Ilsvrc, read_ilsvrc
from dff_onnx.datasets.ilsvrc_files import inclusive_box, read_annotation, read_synset_map
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box

WHOLE = (0, 0, 499, 374)
VAL = "ILSVRC/Annotations/CLS-LOC/val"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three pictures: one box, two boxes and one of another label, and one that is blacklisted."""
    write_annotation(tmp_path / VAL, 1, [(FOX, WHOLE)])
    write_annotation(tmp_path / VAL, 2, [(SETTER, (0, 0, 9, 4)), (TENCH, WHOLE), (SETTER, (5, 6, 7, 8))])
    write_annotation(tmp_path / VAL, 3, [(TENCH, (1, 1, 1, 1))])
    write_kit(tmp_path / "ILSVRC/devkit/data", [FOX, SETTER, TENCH], [3])
    return tmp_path


def truths(found: Ilsvrc) -> dict[str, dict[str, tuple[Box, ...]]]:
    return {one.name: dict(one.truths) for one in found.pictures}


def test_corners_are_inclusive_and_count_from_0() -> None:
    # A picture 500 wide has corners from 0 to 499: `+1 pixels` a side, and nothing below 0.
    assert inclusive_box(*WHOLE) == Box(0, 0, 500, 375)
    assert inclusive_box(3, 4, 3, 4).area == 1


def test_labels_are_the_ground_truths_and_boxes_those_of_the_label(tree: Path) -> None:
    found = read_ilsvrc(tree)
    assert truths(found) == {
        name_of(1): {FOX: (Box(0, 0, 500, 375),)},
        name_of(2): {SETTER: (Box(0, 0, 10, 5), Box(5, 6, 8, 9))},
        name_of(3): {TENCH: (Box(1, 1, 2, 2),)},
    }
    assert [one.blacklisted for one in found.pictures] == [False, False, True] and found.notes == ()
    assert found.synsets == {own: synset for synset, own in OWN.items()}


@pytest.mark.parametrize("place", [".", "val", "bbox_val", "ILSVRC2012_bbox_val_v3/val", "Annotations/CLS-LOC/val"])
@pytest.mark.parametrize("kit", [".", "data", "ILSVRC2014_devkit/data"])
def test_the_layouts_of_the_archives_are_known(place: str, kit: str, tmp_path: Path) -> None:
    write_annotation(tmp_path / place, 1, [(FOX, WHOLE)])
    write_kit(tmp_path / kit, [FOX], [1])
    (picture,) = read_ilsvrc(tmp_path).pictures
    assert picture.blacklisted and dict(picture.truths) == {FOX: (Box(0, 0, 500, 375),)}


def test_files_given_come_before_those_in_the_folder(tree: Path, tmp_path: Path) -> None:
    other = write_kit(tmp_path / "elsewhere", [TENCH, TENCH, TENCH], [1, 2])
    given = [path for path in sorted(other.iterdir()) if "_det_" not in path.name]
    found = read_ilsvrc(tree / VAL, given)
    assert [one.blacklisted for one in found.pictures] == [True, True, False]
    assert truths(found)[name_of(1)] == {TENCH: ()} and truths(found)[name_of(2)] == {TENCH: (Box(0, 0, 500, 375),)}


def test_the_nth_line_is_of_the_picture_whose_name_ends_in_n(tree: Path) -> None:
    (tree / VAL / f"{name_of(1)}.xml").unlink()
    found = read_ilsvrc(tree)
    assert [(one.name, one.blacklisted) for one in found.pictures] == [(name_of(2), False), (name_of(3), True)]
    assert [list(one.truths) for one in found.pictures] == [[SETTER], [TENCH]]
    assert found.notes == ("1 picture of ILSVRC2014_clsloc_validation_ground_truth.txt without annotation: left out",)


def test_without_numbers_in_names_the_nth_line_is_of_the_nth_name(tmp_path: Path) -> None:
    for old, new in ((1, "b"), (2, "a")):
        write_annotation(tmp_path / "val", old, [(FOX, WHOLE)]).rename(tmp_path / "val" / f"{new}.xml")
    write_kit(tmp_path, [SETTER, FOX], [1])
    found = read_ilsvrc(tmp_path)
    assert [(one.name, list(one.truths), one.blacklisted) for one in found.pictures] == [
        ("a", [SETTER], True), ("b", [FOX], False),
    ]  # fmt: skip


def test_several_labels_of_a_line_are_all_true(tree: Path) -> None:
    path = tree / "ILSVRC/devkit/data/ILSVRC2014_clsloc_validation_ground_truth.txt"
    path.write_text("1 0\n2 449\n449 0\n")
    assert truths(read_ilsvrc(tree))[name_of(2)] == {
        SETTER: (Box(0, 0, 10, 5), Box(5, 6, 8, 9)), TENCH: (Box(0, 0, 500, 375),),
    }  # fmt: skip


def test_without_ground_truth_labels_are_the_annotations(tmp_path: Path) -> None:
    write_annotation(tmp_path, 1, [(FOX, WHOLE), (TENCH, WHOLE)])
    found = read_ilsvrc(tmp_path)
    assert list(found.pictures[0].truths) == [FOX, TENCH]
    assert found.notes == (
        "no blacklist (ILSVRC*_validation_blacklist.txt) was found: all pictures count in localization",
    )
    write_annotation(tmp_path, 2, [])
    with pytest.raises(DatasetError, match=r"00000002 has no object and so no label; give .*_ground_truth.txt"):
        read_ilsvrc(tmp_path)


def test_a_label_without_a_box_is_noted_unless_blacklisted(tree: Path) -> None:
    write_annotation(tree / VAL, 1, [(TENCH, WHOLE)])
    write_annotation(tree / VAL, 3, [])
    assert read_ilsvrc(tree).notes == ("1 label without a box: no guess can be right there in localization",)


def test_kaggles_table_says_the_same_as_the_annotations(tree: Path, tmp_path: Path) -> None:
    pictures = {
        1: [(FOX, WHOLE)], 2: [(SETTER, (0, 0, 9, 4)), (SETTER, (5, 6, 7, 8))], 3: [(TENCH, (1, 1, 1, 1))],
    }  # fmt: skip
    path = write_solution(tree / "LOC_val_solution.csv", pictures)
    assert truths(read_ilsvrc(path)) == truths(read_ilsvrc(tree))
    alone = tmp_path / "alone"
    alone.mkdir()
    path.rename(alone / path.name)
    kit = tree / "ILSVRC/devkit/data"
    found = read_ilsvrc(alone, [kit / "ILSVRC2014_clsloc_validation_blacklist.txt"])
    assert truths(found) == truths(read_ilsvrc(tree)) and [one.blacklisted for one in found.pictures] == [0, 0, 1]


def test_boxes_are_not_cut_at_the_border_of_the_picture(tmp_path: Path) -> None:
    path = write_annotation(tmp_path, 1, [(FOX, (0, 0, 500, 375))])
    assert read_annotation(path) == {FOX: (Box(0, 0, 501, 376),)}


FRAME = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox>"
GOOD = f"<annotation><object><name>{FOX}</name>{FRAME}</object></annotation>"
ANNOTATIONS = {
    "no XML": (b"nothing", "is no XML"),
    "no UTF-8": (b"\xff\xfe", "is no UTF-8"),
    "entities": (b'<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD.encode(), "declares a document type"),
    "no box": (GOOD.replace("bndbox", "box").encode(), "an object has no <bndbox>"),
    "no name": (GOOD.replace(FOX, " ").encode(), "has '' for a label"),
    "two words": (GOOD.replace(FOX, "kit fox").encode(), "has 'kit fox' for a label"),
    "no number": (GOOD.replace("<xmax>4", "<xmax>nan").encode(), "has 'nan' for a corner"),
    "endless number": (GOOD.replace("<xmax>4", f"<xmax>{'9' * 5000}").encode(), "for a corner"),
    "inside out": (GOOD.replace("<xmin>1", "<xmin>5").encode(), "the box 5 1 4 4 ends before it begins"),
    "nesting": (b"<a>" * 50_000, "is no XML"),
    "too large": (b" " * (4 * 2**20 + 1), "has more than"),
}  # fmt: skip


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_an_annotation_that_cannot_be_is_refused_with_its_path(case: str, tmp_path: Path) -> None:
    data, sentence = ANNOTATIONS[case]
    (tmp_path / f"{name_of(1)}.xml").write_bytes(data)
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_ilsvrc(tmp_path)
    said = str(caught.value)
    assert "00000001.xml" in said and len(said) < 400 and said.isprintable()


HEAD = "ImageId,PredictionString\n"
TABLES = {
    "empty": ("", "line 1: does not begin with ImageId,PredictionString"),
    "other header": ("image,box\na,b\n", "line 1: does not begin with"),
    "no rows": (HEAD, "has no row below its header"),
    "four fields": (HEAD + "a,n1 1 2 3\n", "line 2: has 4 fields"),
    "no boxes": (HEAD + "a,\n", "line 2: a has no box"),
    "no name": (HEAD + ",n1 1 2 3 4\n", "line 2: names ''"),
    "twice": (HEAD + "a,n1 1 2 3 4\na,n1 1 2 3 4\n", "line 3: a stands there twice"),
    "no number": (HEAD + "a,n1 1 2 3 x\n", "line 2: has 'x' for a corner"),
    "inside out": (HEAD + "a,n1 3 2 1 4\n", "line 2: the box 3 2 1 4 ends before"),
    "three cells": (HEAD + "a,n1 1 2 3 4,5\n", "line 2: has 3 cells"),
    "open quote": (HEAD + '"a,n1 1 2 3 4\n', "line 2: unexpected end"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_of_kaggle_that_cannot_be_is_refused_with_its_line(case: str, tmp_path: Path) -> None:
    text, sentence = TABLES[case]
    (tmp_path / "LOC_val_solution.csv").write_text(text)
    with pytest.raises(DatasetError, match=rf"LOC_val_solution.csv[:,] {sentence}"):
        read_ilsvrc(tmp_path)


KITS = {
    "short": ("ground_truth", "1\n2\n", "has 2 lines, and .* a picture of the number 3"),
    "words": ("ground_truth", "1\nfox\n1\n", "line 2: is 'fox', and ILSVRC's number of a class is needed"),
    "no label": ("ground_truth", "1\n0\n1\n", "line 2: has no ILSVRC's number of a class"),
    "gap": ("ground_truth", "1\n\n1\n", "line 2: is ''"),
    "unknown class": ("ground_truth", "1\n2\n7\n", "has the class 7, which .*map_clsloc.txt has not"),
    "negative": ("blacklist", "-1\n", "line 1: is '-1', and the number of a picture is needed"),
    "no map": ("map", "", "map_clsloc.txt: has no line"),
    "other map": ("map", "1 n02119789 fox\n", "line 1: is '1 n02119789 fox', and `n02119789 1 kit_fox` is the form"),
    "number twice": ("map", f"{FOX} 1 a\n{TENCH} 1 b\n", "line 2: n01440764 or the number 1 stands there twice"),
    "synset twice": ("map", f"{FOX} 1 a\n{FOX} 2 b\n", "line 2: n02119789 or the number 2 stands there twice"),
}


@pytest.mark.parametrize("case", KITS)
def test_a_file_of_the_kit_that_cannot_be_is_refused_with_its_line(case: str, tree: Path) -> None:
    kind, text, sentence = KITS[case]
    names = {"map": "map_clsloc.txt", "blacklist": "ILSVRC2014_clsloc_validation_blacklist.txt"}
    name = names.get(kind, "ILSVRC2014_clsloc_validation_ground_truth.txt")
    (tree / "ILSVRC/devkit/data" / name).write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        read_ilsvrc(tree)


def test_an_empty_blacklist_is_one(tree: Path) -> None:
    (tree / "ILSVRC/devkit/data/ILSVRC2014_clsloc_validation_blacklist.txt").write_text("")
    assert not any(one.blacklisted for one in read_ilsvrc(tree).pictures)


def test_numbers_of_classes_need_the_map(tree: Path) -> None:
    (tree / "ILSVRC/devkit/data/map_clsloc.txt").unlink()
    with pytest.raises(DatasetError, match=r"map_clsloc\.txt is needed; give it with --truth"):
        read_ilsvrc(tree)


def test_two_kits_that_differ_are_refused_and_two_alike_are_not(tree: Path) -> None:
    write_kit(tree / "data", [FOX, SETTER, TENCH], [3])
    read_ilsvrc(tree)
    write_kit(tree / "data", [FOX, SETTER, FOX], [3])
    with pytest.raises(DatasetError, match="differ; say with --truth which one counts"):
        read_ilsvrc(tree)


def test_paths_that_are_not_there_or_no_file_of_the_kit_are_mistakes(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such path"):
        read_ilsvrc(tmp_path / "none")
    with pytest.raises(UsageError, match="there is no such file"):
        read_ilsvrc(tree, [tmp_path / "none.txt"])
    (tmp_path / "words.txt").write_text("some words")
    with pytest.raises(UsageError, match="is neither"):
        read_ilsvrc(tree, [tmp_path / "words.txt"])
    kit = tree / "ILSVRC/devkit/data/map_clsloc.txt"
    with pytest.raises(UsageError, match="is a second file of its kind"):
        read_ilsvrc(tree, [kit, kit])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds neither annotations"):
        read_ilsvrc(tmp_path / "empty")


@tiers("mutated ILSVRC XML")
def test_of_mutated_annotations_none_gives_another_error(cases: range, tmp_path: Path) -> None:
    def judge(number: int, rng: np.random.Generator) -> str:
        letters = b"" if number % 2 else b"<>/&;0129-. ax"
        (tmp_path / f"{name_of(1)}.xml").write_bytes(mutated(GOOD.encode(), rng, letters))
        try:
            found = read_ilsvrc(tmp_path)
        except DatasetError:
            return "refused"
        assert all(box.area > 0 for one in found.pictures for boxes in one.truths.values() for box in boxes)
        return "read"

    found = each(cases, judge)
    assert found["refused"] > len(cases) / 3 and found["read"]


def test_the_map_is_read_with_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_bytes(b"n02119789 1 kit_fox\r\nn02100735 2 English_setter\r\n\r\n")
    assert read_synset_map(tmp_path / "map.txt") == {1: FOX, 2: SETTER}
