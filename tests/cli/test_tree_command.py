"""`dff-onnx tree` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dff_onnx.cli.tree import MOST_LEVELS, levels_named
from dff_onnx.errors import UsageError

PROGRAM = [sys.executable, "-m", "dff_onnx", "tree"]


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png", "c.png"):
        pixels = np.kron(rng.integers(0, 255, (3, 4, 3)), np.ones((24, 24, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(made / name)
    return made


@pytest.mark.parametrize(
    ("text", "ks"), [("1..6", (1, 2, 3, 4, 5, 6)), ("2,4,8", (2, 4, 8)), ("4..5", (4, 5)), ("1,3", (1, 3))]
)
def test_levels_are_a_range_or_a_list(text: str, ks: tuple[int, ...]) -> None:
    assert levels_named(text) == ks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("6..1", r"6\.\.1 runs backwards; give 1\.\.6"),
        ("4", "two levels or more.*run -k 4"),
        ("4..4", "two levels or more.*run -k 4"),
        ("0..3", "from 1 on"),
        ("2,2", "ascend"),
        ("3,1", "ascend"),
        ("1..999999", f"more than {MOST_LEVELS} levels"),
        ("", "such as"),
        ("a..b", "such as"),
        ("1..", "such as"),
        ("1,", "such as"),
        ("-1..3", "such as"),
        ("1..2..3", "such as"),
        ("1.5,2", "such as"),
        ("9999999,99999999", "such as"),
        ("١..٣", "such as"),
        ("1..3\n", "such as"),
    ],
)
def test_other_levels_are_refused_with_a_way_out(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        levels_named(text)


def test_the_command_says_how_concepts_split_and_prints_the_tree(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no picture")
    ended = program(folder, "-o", tmp_path / "out", "--k", "1..3", "--size", "64", "--json")
    assert ended.returncode == 3, ended.stderr
    assert json.loads(ended.stdout) == json.loads((tmp_path / "out" / "tree.json").read_text())
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("3 pictures, device ") and "k = 3" in ended.stderr and "bad.jpg" in ended.stderr
    assert lines[-1] == f"written to {tmp_path / 'out'}; look at {tmp_path / 'out' / 'report.html'}"
    assert max(len(line) for line in lines if line.startswith("  k = ") or " splits into " in line) <= 80
    again = program(folder, "-o", tmp_path / "out", "--k", "1..2", "--size", "64")
    assert again.returncode == 2 and again.stdout == "" and "levels" in again.stderr
    like = program(
        folder, "-o", tmp_path / "like", "-k", "2,3", "--size", "64", "--like", tmp_path / "out" / "k2" / "bank.npz"
    )
    assert like.returncode == 3
    colours = [
        [one["colour"] for one in json.loads((tmp_path / out / "tree.json").read_text())["levels"][place]["concepts"]]
        for out, place in (("out", 1), ("like", 0))
    ]
    assert colours[0] == colours[1]


def test_a_mistake_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    ended = program(folder, "-o", tmp_path / "out", "--k", "6..1")
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr == "dff-onnx: --k: 6..1 runs backwards; give 1..6\n"
    assert not (tmp_path / "out").exists()


def test_nothing_that_a_terminal_obeys_and_no_page_that_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "z\x1b[31m.jpg").write_bytes(b"")
    words = (folder, "-o", tmp_path / "out", "--k", "1..2", "--size", "64", "--report", "none")
    told = program(*words).stderr
    assert "\x1b" not in told and "z\\x1b[31m.jpg:\n" in told
    assert told.endswith(f"\nwritten to {tmp_path / 'out'}\n")
    refused = program(folder / "none\x1b[31m", "-o", tmp_path / "other")
    assert refused.returncode == 2 and "none\\x1b[31m: " in refused.stderr
    labels = tmp_path / "out" / "k2" / "labels.json"
    labels.write_text('{"0": "sky"}')
    assert program(*words).stderr.endswith(f"give them back with dff-onnx label {labels.parent} --from {labels}\n")
