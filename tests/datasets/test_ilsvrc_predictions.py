"""Guesses at ILSVRC: the challenge's text and `predictions.csv`."""

from __future__ import annotations

from pathlib import Path

import pytest
from ilsvrc_trees import FOX, HEAD, SETTER, TENCH, name_of, write_annotation, write_kit, write_predictions

from dff_onnx.datasets import Ilsvrc, read_ilsvrc, read_predictions
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.predictions import COLUMNS as WRITTEN
from dff_onnx.report.predictions import Prediction, predictions_csv

BOX = Box(0, 0, 10, 5)


@pytest.fixture
def dataset(tmp_path: Path) -> Ilsvrc:
    for number in (1, 2, 3):
        write_annotation(tmp_path / "set/val", number, [(FOX, (0, 0, 9, 4))])
    write_kit(tmp_path / "set", [FOX, SETTER, TENCH])
    return read_ilsvrc(tmp_path / "set")


def text_of(tmp_path: Path, text: str) -> Path:
    (tmp_path / "said.txt").write_text(text)
    return tmp_path / "said.txt"


def test_the_challenges_text_has_a_line_for_each_picture(dataset: Ilsvrc, tmp_path: Path) -> None:
    path = text_of(tmp_path, f"1 0 0 9 4 449 1 1 1 1\n\n{SETTER} 0 0 9 4\n")
    assert read_predictions(path, dataset).guesses == {
        name_of(1): ((FOX, BOX), (TENCH, Box(1, 1, 2, 2))), name_of(2): (), name_of(3): ((SETTER, BOX),),
    }  # fmt: skip


def test_zeros_fill_a_line_up_and_a_sixth_guess_is_not_looked_at(dataset: Ilsvrc, tmp_path: Path) -> None:
    six = " ".join(["1 0 0 9 4"] * 5 + ["999999 5 5 1 1"])
    found = read_predictions(text_of(tmp_path, f"1 0 0 9 4 0 0 0 0 0\n{six}\n0 0 0 0 0"), dataset).guesses
    assert [len(found[name_of(number)]) for number in (1, 2, 3)] == [1, 5, 0]


def test_fractions_of_pixels_are_rounded_and_boxes_may_leave_the_picture(dataset: Ilsvrc, tmp_path: Path) -> None:
    path = text_of(tmp_path, "1 -3.4 0.4 9.00 4.49999\n\n\n")
    assert read_predictions(path, dataset).guesses[name_of(1)] == ((FOX, Box(-3, 0, 10, 5)),)


LINES = {
    "a missing line": (
        "1 0 0 9 4\n1 0 0 9 4\n",
        "has 2 lines, and ILSVRC .* has 3 pictures; a line for each is needed",
    ),
    "a line too many": ("1 0 0 9 4\n" * 4, "has 4 lines"),
    "four fields": ("1 0 0 9\n\n\n", "line 1: has 4 fields, and label xmin ymin xmax ymax"),
    "unknown class": ("\n7 0 0 9 4\n\n", "line 2: guesses the class 7, which map_clsloc.txt has not"),
    "inside out": ("\n\n1 9 0 0 4\n", "line 3: the box 9 0 0 4 ends before it begins"),
    "no number": ("1 0 0 inf 4\n\n\n", "line 1: has 'inf' for a corner"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_text_that_cannot_be_is_refused_with_its_line(case: str, dataset: Ilsvrc, tmp_path: Path) -> None:
    text, sentence = LINES[case]
    with pytest.raises(DatasetError, match=rf"said.txt[:,] {sentence}"):
        read_predictions(text_of(tmp_path, text), dataset)


def test_numbers_of_classes_need_the_map_and_synsets_do_not(tmp_path: Path) -> None:
    write_annotation(tmp_path / "set", 1, [(FOX, (0, 0, 9, 4))])
    dataset = read_ilsvrc(tmp_path / "set")
    assert read_predictions(text_of(tmp_path, f"{FOX} 0 0 9 4"), dataset).guesses == {name_of(1): ((FOX, BOX),)}
    with pytest.raises(DatasetError, match=r"line 1: guesses the class 1 by number, and map_clsloc\.txt is needed"):
        read_predictions(text_of(tmp_path, "1 0 0 9 4"), dataset)


def test_a_table_is_matched_by_the_names_of_its_pictures(dataset: Ilsvrc, tmp_path: Path) -> None:
    path = write_predictions(
        tmp_path / "predictions.csv",
        {f"a/{name_of(2)}.JPEG": [(FOX, (0, 0, 9, 4)), (TENCH, None)], "x.y.png": [("a dog", (1, 2, 3, 4))]},
    )
    expected = {name_of(2): ((FOX, BOX), (TENCH, None)), "x.y": (("a dog", Box(1, 2, 4, 5)),)}
    assert read_predictions(path, dataset).guesses == expected
    assert read_predictions(tmp_path, dataset).path == path  # a run's folder


def test_what_this_program_writes_is_read_back(dataset: Ilsvrc, tmp_path: Path) -> None:
    names = ['=a, "b"/n\'.jpg', "'-.png", "@x/ü ß.png", "plain.jpg"]
    labels = ["=1+1", "'quoted", "n01440764", "- a"]
    made = [
        Prediction(image, rank, 3, label, label, -1e-9, 1e-9, box)
        for image, label in zip(names, labels, strict=True)
        for rank, box in ((1, BOX), (2, None))
    ]
    (tmp_path / "predictions.csv").write_bytes(predictions_csv(made))
    found = read_predictions(tmp_path / "predictions.csv", dataset).guesses
    stems = ["n'", "'-", "ü ß", "plain"]
    assert found == {stem: ((label, BOX), (label, None)) for stem, label in zip(stems, labels, strict=True)}
    assert ",".join(WRITTEN) == HEAD


ROW = f"a.jpg,1,7,{FOX},fox,1.5,0.5,0,0,10,5"
ROWS = {
    "other columns": (
        HEAD.replace("label", "synset") + f"\n{ROW}\n",
        "line 1: has other columns than image,rank,class",
    ),
    "more columns": (f"{HEAD},area\n{ROW},1\n", "line 1: has other columns"),
    "no rows": (f"{HEAD}\n", "guesses nothing"),
    "a cell too few": (f"{HEAD}\n{ROW[:-2]}\n", "line 2: has 10 cells"),
    "rank 2 first": (f"{HEAD}\n{ROW.replace(',1,7', ',2,7')}\n", "line 2: the rank is 2, and 1 is the next"),
    "rank twice": (f"{HEAD}\n{ROW}\n{ROW}\n", "line 3: the rank is 1, and 2 is the next"),
    "rank is a word": (f"{HEAD}\n{ROW.replace(',1,7', ',one,7')}\n", "line 2: rank is 'one', and a whole number"),
    "class below 0": (f"{HEAD}\n{ROW.replace(',7,', ',-7,')}\n", "line 2: the class is -7"),
    "no label": (f"{HEAD}\n{ROW.replace(FOX, '')}\n", "line 2: has no image or no label"),
    "no image": (f"{HEAD}\n{ROW[5:]}\n", "line 2: has no image or no label"),
    "score is nan": (f"{HEAD}\n{ROW.replace('1.5', 'nan')}\n", "line 2: score is 'nan'"),
    "probability is 2": (f"{HEAD}\n{ROW.replace('0.5', '2')}\n", "line 2: probability is '2'"),
    "half a box": (f"{HEAD}\n{ROW.replace('0,0,10,5', '0,,10,5')}\n", "line 2: y0 is ''"),
    "an empty box": (f"{HEAD}\n{ROW.replace('0,0,10,5', '5,0,5,5')}\n", "line 2: the box 5,0,5,5 is empty"),
    "a fraction": (f"{HEAD}\n{ROW.replace('0,0,10,5', '0,0,1.5,5')}\n", "line 2: x1 is '1.5'"),
    "an endless number": (f"{HEAD}\n{ROW.replace('0,0,10,5', '0,0,' + '9' * 5000 + ',5')}\n", "line 2: x1 is"),
    "two of one name": (f"{HEAD}\n{ROW}\nb/{ROW.replace('.jpg', '.png')}\n", "line 3: 'a.jpg' and 'b/a.png' have one"),
    "an open quote": (f'{HEAD}\n"{ROW}\n', "line 2: unexpected end"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_table_that_cannot_be_is_refused_with_its_line(case: str, dataset: Ilsvrc, tmp_path: Path) -> None:
    text, sentence = ROWS[case]
    with pytest.raises(DatasetError, match=rf"said.txt[:,] {sentence}") as caught:
        read_predictions(text_of(tmp_path, text), dataset)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_files_that_are_not_there_are_mistakes(dataset: Ilsvrc, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no such file; give predictions\.csv"):
        read_predictions(tmp_path / "none", dataset)
    with pytest.raises(UsageError, match=r"holds no predictions\.csv; give the output folder of `dff-onnx cam`"):
        read_predictions(tmp_path, dataset)
    (tmp_path / "said.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="is no UTF-8 text"):
        read_predictions(tmp_path / "said.txt", dataset)
