"""`dff-onnx eval ilsvrc` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dff_onnx.cli.eval_ import eval_
from dff_onnx.errors import DffError

sys.path.insert(0, str(Path(__file__).parent.parent / "datasets"))

from ilsvrc_trees import FOX, TENCH, name_of, write_annotation, write_kit, write_predictions

PROGRAM = [sys.executable, "-m", "dff_onnx", "eval", "ilsvrc"]
BOX = (0, 0, 9, 9)


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in (1, 2):
        write_annotation(tmp_path / "set/val", number, [(FOX, BOX)])
    write_kit(tmp_path / "kit", [FOX, FOX])
    (tmp_path / "run").mkdir()
    said = {f"{name_of(1)}.JPEG": [(FOX, BOX)], f"{name_of(2)}.JPEG": [(TENCH, BOX)]}
    write_predictions(tmp_path / "run/predictions.csv", said)
    return tmp_path / "set"


def test_a_run_is_scored_and_three_files_are_written(tree: Path, tmp_path: Path) -> None:
    words = [tree, "--run", tmp_path / "run", "-o", tmp_path / "out"]
    ended = program(*words)
    assert ended.returncode == 0, ended.stderr
    assert "run                       measured" in ended.stdout and "GoogLeNet-GAP" in ended.stdout
    assert ended.stderr.startswith("note: no blacklist") and max(map(len, ended.stdout.splitlines())) <= 80
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures.json", "plot.svg", "table.md"]
    before = (tmp_path / "out/figures.json").read_text()
    assert json.loads(before)["rows"][0]["figures"] == [0.5] * 4
    write_predictions(tmp_path / "run/predictions.csv", {f"{name_of(1)}.JPEG": [(FOX, BOX)]})
    other = program(*words)
    assert other.returncode == 2 and "holds an evaluation of other settings" in other.stderr
    partly = program(*words, "--overwrite", "--json")
    assert partly.returncode == 3 and "1 picture without a guess: left out" in partly.stderr
    assert partly.stdout == (tmp_path / "out/figures.json").read_text() != before


def test_files_of_the_kit_may_lie_elsewhere(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "said.txt").write_text("1 0 0 9 9\n2 0 0 9 9\n")
    given = [word for path in (tmp_path / "kit").iterdir() if "_det_" not in path.name for word in ("--truth", path)]
    ended = program(tree, "--predictions", tmp_path / "said.txt", *given)
    assert ended.returncode == 0 and ended.stderr == "" and "said.txt" in ended.stdout


MISTAKES = {
    "no data set": (["{tmp}/nowhere", "--run", "{tmp}/run"], 2, "there is no such path"),
    "nothing to score": (["{tree}"], 2, "give one of --run and --predictions"),
    "no run": (["{tree}", "--run", "{tmp}/none"], 2, "there is no such folder"),
    "no run's folder": (["{tree}", "--run", "{tree}"], 2, "holds no predictions.csv"),
    "no predictions": (["{tree}", "--predictions", "{tmp}/none"], 2, "there is no such file"),
    "no truth": (["{tree}", "--run", "{tmp}/run", "--truth", "{tmp}/none"], 2, "there is no such file"),
    "no set": (["{tmp}/run", "--run", "{tmp}/run"], 5, "holds neither annotations"),
    "odd predictions": (["{tree}", "--predictions", "{tmp}/odd.txt"], 5, "odd.txt: has 1 lines"),
    "unwritable": (["{tree}", "--run", "{tmp}/run", "-o", "{tmp}/odd.txt/out"], 7, "cannot be made a folder"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, tree: Path, tmp_path: Path) -> None:
    words, code, said = MISTAKES[name]
    (tmp_path / "odd.txt").write_text("odd")
    # In this process: the program's `main` makes one line and an exit code of whatever is raised here.
    ended = CliRunner().invoke(eval_, ["ilsvrc", *(word.format(tmp=tmp_path, tree=tree) for word in words)])
    assert isinstance(ended.exception, DffError), ended.output
    assert ended.exception.exit_code == code and ended.output == ""
    assert said in str(ended.exception) and len(str(ended.exception).splitlines()) == 1
