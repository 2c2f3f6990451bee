"""`dff-onnx eval retrieval` as a person meets it, with the embedded network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "datasets"))
sys.path.insert(0, str(Path(__file__).parent.parent / "evaluation"))

from retrieval_scenes import write_scenes
from retrieval_trees import write_oxford

PROGRAM = [sys.executable, "-m", "dff_onnx", "eval", "retrieval"]


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_scenes(tmp_path / "photos", 3, seed=1)
    return write_scenes(tmp_path / "scenes", 3)


def test_folders_are_searched_and_three_files_are_written(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [tree, "--systems", "rmac,dff", "-k", "2,3", "--whiten", tmp_path / "photos", "-o", out]
    ended = program(*words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("scenes: 9 queries, 9 pictures") and max(map(len, ended.stdout.splitlines())) <= 80
    assert "the best of DFF (dff k=" in ended.stdout and ended.stderr == "note: whitenings learnt on 9 pictures\n"
    assert sorted(path.name for path in out.iterdir()) == ["figures.json", "plot.svg", "table.md"]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    fields = json.loads(before["figures.json"])
    assert [one["name"] for one in fields["systems"]] == [
        "rmac", "rmac+w", "dff k=2", "dff k=2+w", "dff k=3", "dff k=3+w",
    ]  # fmt: skip
    assert program(*words).returncode == 0 and before == {path.name: path.read_bytes() for path in out.iterdir()}
    other = program(*words, "--dimensions", "4")
    assert other.returncode == 2 and "holds an evaluation of other settings" in other.stderr
    (tree / "sea" / "0.png").write_bytes(b"nothing")
    partly = program(*words, "--json")
    assert partly.returncode == 3 and "left out: sea/0.png" in partly.stderr
    assert partly.stdout == (out / "figures.json").read_text()


def test_a_set_with_queries_of_its_own_is_searched(tmp_path: Path) -> None:
    ended = program(write_oxford(tmp_path / "set"), "--systems", "spoc,dff", "--multi-scale")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("set: 2 queries, 5 pictures") and "classic, 2 queries" in ended.stdout


def test_mistakes_are_told_in_a_sentence_before_the_work(tree: Path, tmp_path: Path) -> None:
    for words, code, said in (
        ([tmp_path / "none"], 2, "there is no such folder"),
        ([tree, "--systems", "vlad"], 2, "there is no system 'vlad'"),
        ([tree, "--kind", "paris"], 2, "--kind: 'paris' is not one of"),
        ([tree, "--dimensions", "8"], 2, "with --whiten"),
        ([tree, "--whiten", tree, "--systems", "mac"], 2, "is a picture of the set"),
        ([tree, "--whiten", tmp_path / "none"], 2, "there is no such folder"),
        ([tree, "-k", "0"], 2, "-k: a number"),
        ([tree / "sea"], 5, "is in no class's folder"),
    ):
        ended = program(*words)
        assert ended.returncode == code and said in " ".join(ended.stderr.split()), ended.stderr
        assert not ended.stdout
