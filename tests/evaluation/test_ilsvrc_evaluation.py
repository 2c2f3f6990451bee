"""ILSVRC end to end: a made-up set whose errors are worked out by hand; tables and files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from ilsvrc_trees import (
    FOX,
    OWN,
    SETTER,
    TENCH,
    Guess,
    name_of,
    write_annotation,
    write_kit,
    write_predictions,
    write_solution,
)

from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.evaluation import (
    IlsvrcFigures,
    evaluate_ilsvrc,
    ilsvrc_json,
    ilsvrc_markdown,
    ilsvrc_plot,
    ilsvrc_terminal,
    open_ilsvrc,
)
from dff_onnx.evaluation.published_cam import TEST, VALIDATION

BOX, HALF, LESS, FAR = (0, 0, 9, 9), (0, 0, 9, 4), (0, 0, 9, 3), (50, 50, 59, 59)
LABELS = [FOX, SETTER, TENCH, FOX, SETTER, TENCH, FOX, SETTER]
BLACKLIST = [6, 8]
# Guesses at the pictures 1 to 8, and whether they are wrong: class and box, with one guess and with five.
SAID: dict[int, list[Guess]] = {
    1: [(FOX, HALF), (TENCH, BOX)],  # an IoU of exactly one half
    2: [(SETTER, LESS), (SETTER, BOX)],  # 0.4, and the second is right
    3: [(FOX, BOX), (TENCH, BOX)],  # a wrong label, and the second is right
    4: [(FOX, None), (TENCH, BOX)],  # no box: right in classification alone
    5: [(SETTER, (2, 2, 2, 2)), (SETTER, FAR)],  # the second of two true boxes
    6: [(FOX, BOX)],  # blacklisted, and a wrong label
    7: [(TENCH, BOX)] * 5 + [(FOX, BOX)],  # a sixth guess does not count
    8: [(SETTER, FAR)],  # blacklisted, its box far off
}
# Wrong in classification: 3, 6 and 7 of 8 with one guess, 6 and 7 with five; in localization 2, 3, 4, 5 and 7 of 6
# with one guess, 4 and 7 with five.
ERRORS = {"classification": (3 / 8, 2 / 8), "localization": (5 / 6, 2 / 6)}


def truth(number: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    return [(LABELS[number - 1], BOX)] + ([(SETTER, FAR)] if number == 5 else [])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in SAID:
        write_annotation(tmp_path / "set/val", number, truth(number))
    write_kit(tmp_path / "set/data", LABELS, BLACKLIST)
    return tmp_path / "set"


def table(tmp_path: Path, said: dict[int, list[Guess]] | None = None) -> Path:
    (tmp_path / "run").mkdir(exist_ok=True)
    pictures = {f"val/{name_of(number)}.JPEG": guesses for number, guesses in (said or SAID).items()}
    write_predictions(tmp_path / "run/predictions.csv", pictures)
    return tmp_path / "run"


def errors(figures: IlsvrcFigures) -> dict[str, tuple[float, ...]]:
    return {task: tuple(one.estimate for one in found) for task, found in figures.errors.items()}


def test_every_rule_gives_the_errors_worked_out_by_hand(tree: Path, tmp_path: Path) -> None:
    figures = evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path), None))
    assert errors(figures) == ERRORS and figures.blacklisted == 2
    assert figures.missing == figures.unknown == figures.notes == ()
    assert figures.scores[3].errors == {"classification": (0.0, 0.0), "localization": (1.0, 1.0)}
    assert figures.scores[5].errors["localization"] == (None, None)


def test_the_challenges_text_gives_the_same(tree: Path, tmp_path: Path) -> None:
    lines = []
    for guesses in SAID.values():
        # The text has no guess without a box; one far away is as wrong.
        corners = [(OWN[label], *(box or (400, 400, 401, 401))) for label, box in guesses]
        lines.append(" ".join(str(figure) for guess in corners for figure in guess))
    (tmp_path / "said.txt").write_text("\n".join(lines))
    assert errors(evaluate_ilsvrc(open_ilsvrc(tree, None, tmp_path / "said.txt"))) == ERRORS


def test_kaggles_table_and_a_blacklist_give_the_same(tree: Path, tmp_path: Path) -> None:
    path = write_solution(tmp_path / "LOC_val_solution.csv", {number: truth(number) for number in SAID})
    blacklist = tree / "data/ILSVRC2014_clsloc_validation_blacklist.txt"
    assert errors(evaluate_ilsvrc(open_ilsvrc(path, table(tmp_path), None, [blacklist]))) == ERRORS


def test_without_a_blacklist_all_pictures_count(tree: Path, tmp_path: Path) -> None:
    (tree / "data/ILSVRC2014_clsloc_validation_blacklist.txt").unlink()
    figures = evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path), None))
    assert errors(figures)["localization"] == (7 / 8, 4 / 8)
    assert len(figures.notes) == 1 and "all pictures count in localization" in figures.notes[0]


def test_pictures_without_a_guess_are_left_out_and_unknown_ones_too(tree: Path, tmp_path: Path) -> None:
    run = table(tmp_path, {1: SAID[1], 2: SAID[2], 4_000: SAID[1]})
    figures = evaluate_ilsvrc(open_ilsvrc(tree, run, None))
    assert [score.name for score in figures.scores] == [name_of(1), name_of(2)]
    assert figures.missing == tuple(map(name_of, range(3, 9))) and figures.unknown == (name_of(4000),)
    assert [note.split(": ", 1)[1] for note in figures.notes] == [
        f"6 pictures without a guess: left out, the first is {name_of(3)}",
        f"1 picture with guesses that are not in it: left out, the first is {name_of(4000)}",
    ]
    assert errors(figures) == {"classification": (0.0, 0.0), "localization": (0.5, 0.0)}


def test_guesses_that_have_nothing_to_do_with_the_set_are_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"not one of its pictures \(ILSVRC2012_val_00000099, \.\.\.\) is in"):
        evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path, {99: SAID[1]}), None))
    with pytest.raises(DatasetError, match=r"guesses 'kit fox', and .* has labels like 'n01440764'"):
        evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path, {1: [("kit fox", BOX)]}), None))


def test_one_of_run_and_predictions_is_needed(tree: Path, tmp_path: Path) -> None:
    for run, predictions in ((None, None), (tmp_path, tmp_path)):
        with pytest.raises(UsageError, match="give one of --run and --predictions"):
            open_ilsvrc(tree, run, predictions)
    with pytest.raises(UsageError, match="there is no such folder; give the output folder of `dff-onnx cam`"):
        open_ilsvrc(tree, tmp_path / "none", None)


def test_published_rows_stand_beside_the_measured_one_and_are_marked(tree: Path, tmp_path: Path) -> None:
    figures = evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path), None))
    text, page, fields = ilsvrc_terminal(figures), ilsvrc_markdown(figures), json.loads(ilsvrc_json(figures))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and "8 pictures scored, 2 blacklisted in localization" in lines[0]
    assert next(line for line in lines if "measured " in line).split()[2:] == ["37.50", "25.00", "83.33", "33.33"]
    assert next(line for line in lines if "VGGnet-GAP" in line).split()[2:] == ["33.4", "12.2", "57.20", "45.14"]
    assert lines[-1] == "published errors are of all 50000 pictures, ours of 8" and lines[-1] in page
    assert sum("published" in line for line in lines) >= len(VALIDATION) + len(TEST)
    assert "| GoogLeNet-GAP | published | 35.0 | 13.2 | 56.40 | 43.00 |" in page and "Published: Selvaraju" in page
    rows = fields["rows"]
    assert [row["source"] for row in rows] == ["measured", *["published"] * len(VALIDATION)]
    assert rows[0]["figures"] == [3 / 8, 2 / 8, 5 / 6, 2 / 6] and rows[1]["figures"] == [0.35, 0.132, 0.564, 0.43]
    assert fields["kind"] == "ilsvrc" and fields["images"][5] == {
        "path": name_of(6), "classification": [1.0, 1.0], "localization": [None, None],
    }  # fmt: skip
    assert "GoogLeNet-GAP (published)" in ilsvrc_plot(figures)


def test_published_errors_fall_from_one_guess_to_five_and_say_where_they_are_from() -> None:
    for row in VALIDATION:
        for first, fifth in (row.classification, row.localization):
            assert (first is None and fifth is None) or (first is not None and fifth is not None and 0 < fifth < first)
    assert all(("slides" in row.source) != ("recalled from the paper" in row.source and "Grad" in row.source)
               for row in (*VALIDATION, *TEST))  # fmt: skip
    assert {row.name: row.localization for row in VALIDATION}["GoogLeNet-GAP"] == (56.40, 43.00)
    assert {row.name: row.localization[1] for row in TEST}["GoogLeNet-GAP heuristics"] == 37.1


def test_a_set_that_is_all_blacklisted_has_no_localization_error(tree: Path, tmp_path: Path) -> None:
    (tree / "data/ILSVRC2014_clsloc_validation_blacklist.txt").write_text("".join(f"{n}\n" for n in SAID))
    figures = evaluate_ilsvrc(open_ilsvrc(tree, table(tmp_path), None))
    assert all(math.isnan(one) for one in errors(figures)["localization"])
    assert json.loads(ilsvrc_json(figures))["rows"][0]["figures"][2:] == [None, None]
    assert "-" in ilsvrc_terminal(figures) and ilsvrc_plot(figures).startswith("<svg")
