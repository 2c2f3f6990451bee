"""`dff-onnx eval` as a person meets it: tables, files, exit codes, one sentence for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dff_onnx.cli.eval_ import eval_
from dff_onnx.errors import OutputError

for folder in ("datasets", "evaluation"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

from figures import colour_network, make_figures, read_parts  # noqa: E402
from layouts import Thing, write_mask, write_voc  # noqa: E402
from square_trees import square, write_group  # noqa: E402

PROGRAM = [sys.executable, "-m", "dff_onnx", "eval"]


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return colour_network(tmp_path / "colours.onnx")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("cats", "dogs"):
        write_group(tmp_path / "set", name, [square()] * 3)
    return tmp_path / "set"


def test_a_table_is_printed_and_three_files_are_written(tree: Path, model: Path, tmp_path: Path) -> None:
    words = ["coseg", tree, "--model", model, "--size", "64", "--systems", "plain,otsu", "-o", tmp_path / "out"]
    table = program(*words, "--halves")
    assert table.returncode == 0 and table.stderr == ""
    assert "cats" in table.stdout and "measured" in table.stdout and "check half" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures.json", "plot.svg", "table.md"]
    before = (tmp_path / "out" / "figures.json").read_bytes()
    spoken = program(*words, "--json")
    assert spoken.stdout.encode() == before == (tmp_path / "out" / "figures.json").read_bytes()
    other = program(*words[:-4], "--systems", "plain", "-o", tmp_path / "out")
    assert (
        other.returncode == 2
        and "(systems: ['plain', 'otsu'] there, ['plain'] now)" in other.stderr
        and other.stdout == ""
    )
    assert program(*words[:-4], "-o", tmp_path / "out", "--overwrite").returncode == 0
    assert (tmp_path / "out" / "figures.json").read_bytes() != before


def test_a_picture_that_cannot_be_read_costs_exit_code_3(tree: Path, model: Path) -> None:
    (tree / "images" / "cats" / "1.png").write_bytes(b"nothing")
    ended = program("coseg", tree, "--model", model, "--size", "64")
    assert ended.returncode == 3 and "left out: images/cats/1.png: " in ended.stderr and "cats" in ended.stdout


def test_voc_has_the_published_rows_and_the_time_of_the_real_set(model: Path, tmp_path: Path) -> None:
    write_voc(tmp_path, {"1": [Thing("cat")], "2": [Thing("dog")]})
    ended = program("corloc", tmp_path, "--model", model, "--size", "64")
    assert ended.returncode == 0, ended.stderr
    assert "Le (V)       published" in ended.stdout and "plain        measured" in ended.stdout
    assert "estimate for VOC 2007: 5011 pictures" in ended.stderr and "another filter, or not the whole" in ended.stderr


def test_parts_of_articulated_figures_are_recovered(tmp_path: Path) -> None:
    make_figures(tmp_path, 6)
    for path in sorted((tmp_path / "pictures").iterdir()):
        write_mask(tmp_path / "masks" / path.name, read_parts(tmp_path, path.stem).any(axis=0) * 255)
    network = colour_network(tmp_path / "colours.onnx")
    words = ["parts", tmp_path / "pictures", "--masks", tmp_path / "masks", "--parts", tmp_path / "parts"]
    more = ["--model", network, "-k", "4", "--seeds", "2", "--threshold", "fraction", "--plot", tmp_path / "q.svg"]
    ended = program(*words, *more, "-o", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert sorted(one["parts"] for one in figures["concepts"]) == [["arms"], ["head"], ["legs"], ["torso"]]
    assert min(one["iou"] for one in figures["concepts"]) > 0.8
    assert max(map(len, ended.stdout.splitlines())) <= 80 and "torso" in ended.stdout
    assert (tmp_path / "q.svg").read_text() == (tmp_path / "out" / "plot.svg").read_text()
    other = program(*words, *more[:2], "-k", "3", "-o", tmp_path / "out")
    assert other.returncode == 2 and "ks: [4] there, [3] now" in other.stderr


def test_two_runs_are_compared(tree: Path, model: Path, tmp_path: Path) -> None:
    for system in ("plain", "otsu"):
        program("coseg", tree, "--model", model, "--size", "64", "--systems", system, "-o", tmp_path / system)
    files = [tmp_path / system / "figures.json" for system in ("plain", "otsu")]
    ended = program("compare", *files)
    assert ended.returncode == 0 and "6 pictures in both" in ended.stdout and "difference" in ended.stdout
    spoken = json.loads(program("compare", *files, "--json").stdout)
    assert [one["metric"] for one in spoken["results"]] == ["iou", "corloc"]


def test_a_table_that_cannot_be_kept_is_printed(
    tree: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("figures.json: cannot be written: No space left on device")

    monkeypatch.setattr("dff_onnx.evaluation.write_folder", full)
    ended = CliRunner().invoke(
        eval_, ["coseg", str(tree), "--model", str(model), "--size", "64", "-o", str(tmp_path / "out")]
    )
    assert isinstance(ended.exception, OutputError) and "2 groups, 6 pictures scored" in ended.stdout


MISTAKES = {
    "no data set": (["coseg", "{tmp}/nowhere"], 2, "no such folder"),
    "no masks": (["coseg", "{tree}/images"], 5, "--masks"),
    "missing mask": (["coseg", "{tree}/images", "--masks", "{tree}/images/cats"], 5, "out with --skip-missing"),
    "no group": (["coseg", "{tree}", "--groups", "mice"], 2, "no group holds the word 'mice'; there are cats, dogs"),
    "no word": (["coseg", "{tree}", "--groups", ","], 2, "--groups: holds an empty word"),
    "no masks there": (["coseg", "{tree}", "--masks", "{tmp}/nope"], 2, "--masks {tmp}/nope: there is no such folder"),
    "no parts": (["parts", "{tree}", "--masks", "{tree}", "--parts", "{tmp}/nope"], 2, "--parts {tmp}/nope: there"),
    "no annotations": (["parts", "{tree}", "--annotations", "{tmp}/nope"], 2, "--annotations {tmp}/nope: there is no"),
    "no system": (["coseg", "{tree}", "--systems", "plain,best"], 2, "there is no system 'best'"),
    "two sizes": (["coseg", "{tree}", "--size", "64", "--long-side", "64"], 2, "one of --size"),
    "no VOC": (["corloc", "{tree}/images"], 5, "with --boxes or --masks"),
    "boxes and masks": (["corloc", "{tree}", "--boxes", "x.csv", "--masks", "{tree}"], 2, "one of --boxes and --masks"),
    "no boxes": (["corloc", "{tree}", "--boxes", "{tmp}/x.csv"], 2, "--boxes {tmp}/x.csv: there is no such file"),
    "no number": (["parts", "{tree}", "-k", "some"], 2, "1..10 is needed"),
    "too many": (["parts", "{tree}", "-k", "1..999999999"], 2, "from 1 to 1000"),
    "parts alone": (["parts", "{tree}", "--parts", "{tree}"], 2, "needs --masks too"),
    "no labels": (["parts", "{tree}", "--groups", "cats", "--labels", "{tmp}/x.json"], 2, "x.json"),
    "labels of two k": (["parts", "{tree}", "-k", "1,2", "--labels", "{tmp}/x.json"], 2, "one k"),
    "odd labels": (["parts", "{tree}", "--groups", "cats", "--labels", "{tmp}/odd.json"], 5, "odd.json"),
    "no figures": (["compare", "{tmp}/x.json", "{tmp}/odd.json"], 2, "x.json: there is no such file"),
    "odd figures": (["compare", "{tmp}/odd.json", "{tmp}/x.json"], 5, "odd.json"),
    "no figures inside": (["compare", "{tree}", "{tmp}/odd.json"], 2, "holds no figures.json"),
    "unwritable": (["coseg", "{tree}", "-o", "{tmp}/odd.json/m"], 7, "cannot be made a folder"),
    "unwritable parts": (["parts", "{tree}", "-o", "{tmp}/odd.json"], 7, "choose another with -o"),
    "unwritable plot": (["parts", "{tree}", "--plot", "{tmp}/odd.json/q.svg"], 7, "choose another with --plot"),
    "plot into a folder": (["parts", "{tree}", "--plot", "{tree}"], 2, "give the name of an SVG file"),
    "others' folder": (["coseg", "{tree}", "-o", "{tree}"], 2, "holds no evaluation"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, tree: Path, model: Path, tmp_path: Path) -> None:
    words, code, said = MISTAKES[name]
    (tmp_path / "odd.json").write_text('{"0": 7}')
    network = [] if words[0] == "compare" else ["--model", str(model)]
    ended = program(*(word.format(tmp=tmp_path, tree=tree) for word in words), *network)
    assert ended.returncode == code, ended.stderr
    assert said.format(tmp=tmp_path) in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 and ended.stdout == ""
