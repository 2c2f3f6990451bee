"""`dff-onnx label` and `dff-onnx masks` as a person meets them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROGRAM = [sys.executable, "-m", "dff_onnx"]
COLOURS = ((230, 20, 20), (20, 200, 20), (30, 30, 220))


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def talk(words: Sequence[str | Path], answers: Sequence[bytes]) -> tuple[int, str]:
    """Runs the program on a terminal and answers its questions; gives its exit code and what the terminal shows.

    A Ctrl-C that comes between a prompt and the reading of its answer is not heard: the last key is pressed again where
    nothing happens.
    """
    shown, waiting, last = b"", list(answers), b""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        os.execv(sys.executable, [*PROGRAM, *map(str, words)])
    with contextlib.suppress(OSError):  # Linux says so when the other side hangs up
        while True:
            if not select.select([terminal], [], [], 10)[0]:
                os.write(terminal, last)
                continue
            if not (data := os.read(terminal, 4096)):
                break
            shown += data
            if shown.endswith(b"name: ") and waiting:
                last = waiting.pop(0)
                os.write(terminal, last)
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the embedded backbone, and its pictures beside it."""
    place = tmp_path_factory.mktemp("made")
    (place / "in").mkdir()
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 60, (96, 128, 3), np.uint8)
        x, y = rng.integers(0, 80), rng.integers(0, 50)
        pixels[y : y + 40, x : x + 40] = COLOURS[number % 3]
        Image.fromarray(pixels).save(place / "in" / f"{number}.png")
    ended = program("run", place / "in", "-o", place / "out", "-k", "3", "--size", "96", "--overlays", "none")
    assert ended.returncode == 0, ended.stderr
    return place


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of the run, for a test of its own."""
    for name, data in contents(made / "out").items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(data)
    return tmp_path / "out"


def test_a_person_names_concepts_on_the_terminal_and_exports_the_masks(home: Path, tmp_path: Path) -> None:
    code, shown = talk(["label", home], [b"head, neck\n", b"x" * 70 + b"\n", b"torso\n", b"\n"])
    assert code == 0, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    for said in (
        "contact.png",
        "concept 0",
        "#4bdaff, energy",
        "70 characters",
        "2 of 3 concepts have a name",
        "torso",
    ):
        assert said in plain
    assert "\x1b[48;2;75;218;255m" in shown, "the concept's colour itself"
    ours = [line for line in plain.splitlines() if str(tmp_path) not in line and "xxxx" not in line]
    assert max(map(len, ours)) <= 80
    assert json.loads((home / "labels.json").read_text())["concepts"] == {
        "0": ["head", "neck"],
        "1": ["torso"],
        "2": [],
    }
    with Image.open(home / "label" / "contact.png") as sheet:
        assert sheet.width > 5 * 128
    ended = program("masks", home, "-o", tmp_path / "masks")
    assert (ended.returncode, ended.stdout) == (0, "") and "head + neck, torso" in ended.stderr
    names = {path.name for path in (tmp_path / "masks").iterdir()}
    assert names == {"run.toml", "instances.json", "labels.txt", "SegmentationClass", "Annotations"}
    only = program("masks", home, "-o", tmp_path / "png", "--format", "png", "--only", "neck")
    assert only.returncode == 0 and [path.name for path in (tmp_path / "png" / "masks").iterdir()] == ["1_head_neck"]


@pytest.mark.parametrize("ending", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_who_stops_in_the_middle_changes_nothing(ending: bytes, home: Path) -> None:
    before = contents(home)
    code, shown = talk(["label", home], [b"head\n", ending])
    assert code == 130 and "nothing was changed" in shown and "Traceback" not in shown
    after = contents(home)
    del after["label/contact.png"]
    assert after == before


def test_without_a_terminal_a_template_says_how_to_go_on(home: Path) -> None:
    ended = program("label", home, "--show", "2")
    template = home / "label" / "labels.json"
    assert (ended.returncode, ended.stdout) == (0, "")
    assert f"dff-onnx label {home} --from {template}" in ended.stderr
    assert not (home / "labels.json").exists() and (home / "label" / "contact.png").exists()
    template.write_text('{"0": ["head"], "1": "torso"}')
    again = program("label", home)
    assert again.returncode == 0 and template.read_text() == '{"0": ["head"], "1": "torso"}'
    given = program("label", home, "--from", template)
    assert given.returncode == 0 and "2 of 3 concepts have a name: head, torso" in given.stderr
    results = json.loads((home / "results.json").read_text())
    assert [concept["name"] for concept in results["concepts"]] == ["head", "torso", None]


def test_the_template_of_a_run_with_names_holds_them(home: Path, tmp_path: Path) -> None:
    template = home / "label" / "labels.json"
    assert program("label", home, "--show", "1").returncode == 0 and '"0": []' in template.read_text()
    (tmp_path / "names.json").write_text('{"0": ["head", "neck"], "2": "torso"}')
    assert program("label", home, "--from", tmp_path / "names.json").returncode == 0
    ended = program("label", home, "--show", "1")
    assert ended.returncode == 0 and "3 rows of up to 1 picture: " in ended.stderr
    assert json.loads(template.read_text())["concepts"] == {"0": ["head", "neck"], "1": [], "2": ["torso"]}
    only = program("masks", home, "-o", tmp_path / "m", "--only", "torso", "--format", "coco")
    assert "masks of 6 pictures under 1 name: torso" in only.stderr and "1 file written" in only.stderr


MISTAKES = {
    "no run": (["label", "{in}"], 2, "holds no run.toml of a run"),
    "no folder": (["masks", "{tmp}/none", "-o", "{tmp}/m"], 2, "there is no such folder"),
    "no labels": (["label", "{run}", "--from", "{tmp}/none.json"], 2, "there is no such file"),
    "labels in a folder": (["label", "{run}", "--from", "{in}"], 2, "is a folder; give a labels.json"),
    "others' folder": (["masks", "{run}", "-o", "{tmp}"], 2, "holds no export of masks"),
    "bad labels": (["label", "{run}", "--from", "{in}/0.png"], 5, "no JSON"),
    "no pictures shown": (["label", "{run}", "--show", "0"], 2, "--show"),
    "unknown name": (["masks", "{run}", "-o", "{tmp}/m", "--only", "leg"], 2, "nothing is called 'leg'"),
    "the run itself": (["masks", "{run}", "-o", "{run}"], 2, "holds the results of a run"),
    "below a file": (["masks", "{run}", "-o", "{in}/0.png/m"], 2, "inside the folder of pictures"),
    "unwritable": (["masks", "{run}", "-o", "{run}/run.toml/m"], 7, "cannot be made a folder"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, made: Path, home: Path, tmp_path: Path) -> None:
    words, code, said = MISTAKES[name]
    before = contents(home)
    ended = program(*(word.format(**{"tmp": tmp_path, "in": made / "in", "run": home}) for word in words))
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr and len(ended.stderr.strip().splitlines()) == 1 and ended.stdout == ""
    assert contents(home) == before and not (tmp_path / "m").exists()


def test_a_damaged_run_is_refused_in_one_sentence(home: Path, tmp_path: Path) -> None:
    (home / "results.json").write_text('{"schema": "\x1b[2J"}')
    for words in (["label", home], ["masks", home, "-o", tmp_path / "m"]):
        ended = program(*words)
        assert ended.returncode == 5 and "results.json" in ended.stderr and "\x1b" not in ended.stderr
