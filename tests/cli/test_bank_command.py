"""`dff-onnx bank` as a person meets it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "concepts"))

from banks import bank, foreground_bank

from dff_onnx.cli import app
from dff_onnx.cli.bank_text import bank_lines, difference_lines
from dff_onnx.concepts.bank import Bank, bank_bytes, read_bank
from dff_onnx.concepts.edits import diff
from dff_onnx.errors import DffError
from dff_onnx.images import Resize
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.report.labels_file import LONGEST


def uncoloured(text: str) -> str:
    """Without what colours a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def bank_said(*words: str | Path) -> tuple[str, str]:
    """What `dff-onnx bank ...` says on stdout and stderr, in this process."""
    ended = CliRunner().invoke(app, ["bank", *map(str, words)], catch_exceptions=True)
    if isinstance(ended.exception, DffError):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`a.npz`, `b.npz` with a third concept of its own, `fg.npz`, `other.npz` of another network."""
    W = np.eye(4, 5, dtype=np.float32)
    kept = {
        "a": bank(W=W[:3]),
        "b": bank(W=W[[0, 1, 3]], names=(None, "leg", "beam")),
        "fg": foreground_bank(),
        "other": bank(fingerprint=Fingerprint("cd" * 32, "relu5_4", Preprocessing())),
    }
    for name, one in kept.items():
        (tmp_path / f"{name}.npz").write_bytes(bank_bytes(one))
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def test_a_bank_is_shown(home: Path) -> None:
    shown, aside = bank_said("show", home / "a.npz")
    assert not aside
    lines = shown.splitlines()
    assert lines[1].split()[:3] == ["0", "#e69f00", "33.3%"] and lines[1].endswith("  ear")
    for said in ("ab" * 32, "relu5_4, 5 channels", "not known", "images         6"):
        assert said in shown
    table = json.loads(bank_said("show", home / "a.npz", "--json")[0])
    assert [(one["number"], one["name"], one["colour"]) for one in table["concepts"]] == [
        (0, "ear", "#e69f00"),
        (1, None, "#0072b2"),
        (2, 'a "näme" =1', "#f0e442"),
    ]
    assert table["concepts"][1]["threshold"] == pytest.approx(bank().thresholds[1], rel=1e-8)
    assert table["fingerprint"] == bank().fingerprint.to_dict() and table["channels"] == 5
    assert json.loads(bank_said("show", home / "fg.npz", "--json")[0])["foreground"] is True
    assert "foreground     threshold 0, spread 1" in bank_said("show", home / "fg.npz")[0]


def test_nothing_that_is_shown_is_wider_than_a_terminal_or_obeyed_by_it() -> None:
    long = "胴" * LONGEST
    mark = Fingerprint("ab" * 32, "\x1b[2J" + "layer" * 30, Preprocessing())
    odd: Bank = bank(
        names=(long, None, "x" * LONGEST),
        thresholds=np.float32([1e-12, 3e38, 1]),
        fingerprint=mark,
        provenance={"\x1b[2J": "\u202e" + "y" * 200, **{f"key {i}": i for i in range(60)}},
        resize=Resize("short", 300),
        losses=(0.0, 0.1, 0.2, 0.3, 0.4),
    )
    other = replace(odd, names=("y" * LONGEST, long, None))
    for lines in (bank_lines(odd), difference_lines(diff(odd, other), odd, other)):
        plain = list(map(uncoloured, lines))
        assert all(cell_len(line) <= 80 and line.isprintable() for line in plain), plain
    assert "and 21 more" in bank_lines(odd)
    assert "\x1b[48;2;230;159;0m" in bank_lines(odd)[1], "the concept's colour itself"


def test_banks_are_joined_and_what_they_share_is_one(home: Path) -> None:
    shown, aside = bank_said("merge", home / "a.npz", home / "b.npz", "-o", home / "m.npz")
    assert not shown and "4 concepts, 4 named: " in aside
    found = read_bank(home / "m.npz")
    assert sorted(filter(None, found.names)) == ['a "näme" =1', "beam", "ear", "leg"]
    assert len(set(found.colours)) == 4 and set(bank().colours) < set(found.colours)
    before = (home / "m.npz").read_bytes()
    bank_said("merge", home / "a.npz", home / "b.npz", "-o", home / "m.npz")
    assert (home / "m.npz").read_bytes() == before, "the same again is the same"
    bank_said("merge", home / "b.npz", home / "a.npz", "-o", home / "m.npz", "--overwrite")
    assert (home / "m.npz").read_bytes() != before


def test_a_bank_is_parted(home: Path) -> None:
    _, aside = bank_said("split", home / "a.npz", "--keep", "0,2", "-o", home / "s.npz", "--rest", home / "r.npz")
    assert f"{home / 's.npz'}\n2 concepts, 2 named: ear" in aside and "1 concept, 0 named" in aside
    assert (read_bank(home / "s.npz").names, read_bank(home / "r.npz").names) == (("ear", 'a "näme" =1'), (None,))


def test_concepts_are_named_in_place_and_elsewhere(home: Path) -> None:
    before = (home / "a.npz").read_bytes()
    bank_said("rename", home / "a.npz", "0=head, neck", "1=left arm", "2=", "-o", home / "n.npz")
    assert read_bank(home / "n.npz").names == ("head + neck", "left arm", None)
    assert (home / "a.npz").read_bytes() == before
    bank_said("rename", home / "a.npz", "1=x=y")
    assert read_bank(home / "a.npz").names == ("ear", "x=y", 'a "näme" =1')


def test_two_banks_are_compared(home: Path) -> None:
    shown, _ = bank_said("diff", home / "a.npz", home / "b.npz")
    assert "   0    0   1.000" in shown and "ear -> no name" in shown and "no name -> leg" in shown
    assert 'only in A: 2 a "näme" =1, energy 33.3%' in shown and "only in B: 2 beam" in shown
    table = json.loads(bank_said("diff", home / "a.npz", home / "b.npz", "--json")[0])
    assert [one["concepts"] for one in table["pairs"]] == [[0, 0], [1, 1]] and table["only"] == [[2], [2]]
    bank_said("split", home / "a.npz", "--keep", "2", "-o", home / "s.npz")
    assert "no concept is in both" in bank_said("diff", home / "b.npz", home / "s.npz")[0]


MISTAKES = {
    "no file": (["show", "{in}/none.npz"], 2, "there is no such file"),
    "no bank": (["show", "{in}/notes.txt"], 5, "cannot be read as a bank"),
    "one bank": (["merge", "{in}/a.npz", "-o", "{in}/o.npz"], 2, "at least two"),
    "two networks": (["merge", "{in}/a.npz", "{in}/other.npz", "-o", "{in}/o.npz"], 5, "other.npz: its concepts come"),
    "another's diff": (["diff", "{in}/a.npz", "{in}/other.npz"], 5, "network cdcdcdcdcdcd"),
    "two foregrounds": (["merge", "{in}/fg.npz", "{in}/fg.npz", "-o", "{in}/o.npz"], 2, "2 of the banks hold"),
    "another's foreground": (["diff", "{in}/a.npz", "{in}/fg.npz"], 2, "fg.npz: holds what tells"),
    "part of a foreground": (["split", "{in}/fg.npz", "--keep", "0", "-o", "{in}/o.npz"], 2, "fg.npz: holds what"),
    "odd cosine": (["merge", "{in}/a.npz", "{in}/b.npz", "-o", "{in}/o.npz", "--same", "2"], 2, "same: a cosine"),
    "no number": (["split", "{in}/a.npz", "--keep", "head", "-o", "{in}/o.npz"], 2, "'head': the number"),
    "no such concept": (["split", "{in}/a.npz", "--keep", "3", "-o", "{in}/o.npz"], 2, "no concept 3"),
    "nothing left": (["split", "{in}/a.npz", "--keep", "0,1,2", "-o", "{in}/o.npz", "--rest", "{in}/r"], 2, "none is"),
    "one file twice": (["split", "{in}/a.npz", "--keep", "0", "-o", "{in}/o", "--rest", "{in}/o"], 2, "two files"),
    "no name": (["rename", "{in}/a.npz", "head"], 2, "'head': a number and a name"),
    "twice named": (["rename", "{in}/a.npz", "0=a", "0=b"], 2, "concept 0 is named twice"),
    "a long name": (["rename", "{in}/a.npz", "0=" + "x" * 61], 2, "61 characters"),
    "a hostile name": (["rename", "{in}/a.npz", "0=\x1b[2J"], 2, "control character"),
    "no such number": (["rename", "{in}/a.npz", "7=a"], 2, "no concept 7"),
    "another kind of file": (["rename", "{in}/a.npz", "0=a", "-o", "{in}/notes.txt"], 2, "something else than a bank"),
    "another bank": (["rename", "{in}/a.npz", "0=a", "-o", "{in}/b.npz"], 2, "--overwrite"),
    "a rest that is there": (
        ["split", "{in}/a.npz", "--keep", "0", "-o", "{in}/o.npz", "--rest", "{in}/notes.txt"],
        2,
        "something else than a bank",
    ),
    "unwritable": (["rename", "{in}/a.npz", "0=a", "-o", "{in}/a.npz/o.npz"], 7, "cannot be written"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code_and_changes_nothing(name: str, home: Path) -> None:
    words, code, said = MISTAKES[name]
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    with pytest.raises(DffError, match=re.escape(said)) as caught:
        bank_said(*(word.replace("{in}", str(home)) for word in words))
    assert caught.value.exit_code == code, caught.value
    assert str(caught.value).isprintable()
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_the_program_itself_says_a_mistake_on_stderr_alone(home: Path) -> None:
    words = [sys.executable, "-m", "dff_onnx", "bank", "merge", home / "a.npz", home / "other.npz", "-o", home / "o"]
    ended = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (5, "") and len(ended.stderr.splitlines()) == 1
