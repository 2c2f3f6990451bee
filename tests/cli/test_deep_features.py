"""`features`, `fit`, `eval finegrained` and `eval patterns` as a person meets them."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

for folder in ("datasets", "evaluation"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))

from bird_scenes import write_scenes  # noqa: E402
from figures import colour_network  # noqa: E402
from layouts import write_mask  # noqa: E402

from dff_onnx.cli import main  # noqa: E402
from dff_onnx.learning.head_file import read_head  # noqa: E402
from dff_onnx.report.features_file import read_features  # noqa: E402

COLOURS = {"green": (70, 180, 84), "red": (205, 78, 70)}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Program = Callable[..., Ended]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """The program, in this process: a new one for each command would take most of the time."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*words: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dff-onnx", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), *capfd.readouterr())

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return colour_network(tmp_path / "colours.onnx")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures of a green square, three of a red one."""
    for name, colour in COLOURS.items():
        for number in range(3):
            pixels = np.full((64, 64, 3), (124, 116, 104), np.uint8)
            pixels[8 * number : 8 * number + 32, 16:48] = colour
            path = tmp_path / "pictures" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


def test_pictures_become_features_and_these_a_head(
    program: Program, pictures: Path, model: Path, tmp_path: Path
) -> None:
    words = ["features", pictures, "-o", tmp_path / "x.npz", "--model", model, "--size", "64", "--pool", "max"]
    ended = program(*words)
    assert ended.returncode == 0 and ended.stdout == "", ended.stderr
    assert "6 pictures in 12 channels, device cpu" in ended.stderr
    assert read_features(tmp_path / "x.npz").pool == "max"
    fitted = program("fit", tmp_path / "x.npz", "-o", tmp_path / "head.npz", "--c", "cv")
    assert fitted.returncode == 0 and fitted.stdout == "", fitted.stderr
    assert "2 classes, 6 pictures, 12 channels, C = " in fitted.stderr and "on pictures left out" in fitted.stderr
    assert read_head(tmp_path / "head.npz").names == ("green", "red")
    one = program("fit", tmp_path / "x.npz", "-o", tmp_path / "one.npz", "--positive", "red", "--no-unit")
    assert "1 class, 3 pictures against 3 others" in one.stderr
    assert read_head(tmp_path / "one.npz").head.unit is False
    other = program(*words[:-1], "avg")
    assert other.returncode == 2 and "holds features of other settings (pool" in other.stderr
    assert program(*words[:-1], "avg", "--overwrite").returncode == 0


def test_a_picture_that_cannot_be_read_costs_exit_code_3(
    program: Program, pictures: Path, model: Path, tmp_path: Path
) -> None:
    (pictures / "red" / "1.png").write_bytes(b"nothing")
    ended = program("features", pictures, "-o", tmp_path / "x.npz", "--model", model, "--size", "64")
    assert ended.returncode == 3 and "left out: red/1.png: " in ended.stderr
    assert len(read_features(tmp_path / "x.npz").paths) == 5


def test_birds_are_told_apart_and_three_files_are_written(program: Program, model: Path, tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "birds", 4)
    words = ["eval", "finegrained", root, "--model", model, "--size", "64", "-o", tmp_path / "out"]
    ended = program(*words)
    assert ended.returncode == 0, ended.stderr
    assert "crop by its own class map" in ended.stdout and "6 to test" in ended.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures.json", "plot.svg", "table.md"]
    assert program(*words, "--json").stdout == (tmp_path / "out" / "figures.json").read_text()
    other = program(*words, "--c", "2")
    assert other.returncode == 2 and "C: 1.0 there, 2.0 now" in other.stderr and other.stdout == ""
    compared = program("eval", "compare", tmp_path / "out", tmp_path / "out")
    assert compared.returncode == 5 and "Traceback" not in compared.stderr


def test_regions_under_a_map_are_ranked(program: Program, pictures: Path, model: Path, tmp_path: Path) -> None:
    run = program(
        "run",
        pictures / "red",
        "-o",
        tmp_path / "run",
        "--model",
        model,
        "--size",
        "64",
        "-k",
        "1",
        "--overlays",
        "none",
    )
    assert run.returncode == 0, run.stderr
    for number in range(3):
        labels = np.full((64, 64), 1, np.uint8)
        labels[8 * number : 8 * number + 32, 16:48] = 2
        write_mask(tmp_path / "regions" / f"{number}.png", labels)
    (tmp_path / "names.txt").write_text("1 ground\n2 red square\n")
    words = ["eval", "patterns", tmp_path / "run", "--regions", tmp_path / "regions", "--names", tmp_path / "names.txt"]
    ended = program(*words)
    assert ended.returncode == 0 and ended.stderr == ""
    assert ended.stdout.index("red square") < ended.stdout.index("ground")
    (tmp_path / "regions" / "2.png").unlink()
    spoken = program(*words, "--json", "--skip-missing")
    assert [one["name"] for one in json.loads(spoken.stdout)["labels"]] == ["red square", "ground"]
    assert spoken.stderr == "note: 1 picture without a label map: left out\n" and spoken.returncode == 0


MISTAKES = {
    "no folder": (["features", "{tmp}/x", "-o", "{tmp}/o.npz"], 2, "there is no such folder"),
    "no pictures": (["features", "{tmp}/empty", "-o", "{tmp}/o.npz"], 4, "holds no pictures"),
    "another file": (["features", "{tmp}/empty", "-o", "{tmp}/odd.npz"], 2, "something else than features"),
    "no features": (["fit", "{tmp}/x.npz", "-o", "{tmp}/o.npz"], 2, "x.npz: there is no such file"),
    "odd features": (["fit", "{tmp}/odd.npz", "-o", "{tmp}/o.npz"], 5, "cannot be read as a file of features"),
    "no number": (["fit", "{tmp}/x.npz", "-o", "{tmp}/o.npz", "--c", "much"], 2, "--c: a number above 0, or cv"),
    "minus": (["fit", "{tmp}/x.npz", "-o", "{tmp}/o.npz", "--c", "-1"], 2, "--c: a number above 0, or cv"),
    "no birds": (["eval", "finegrained", "{tmp}/empty"], 5, "classes.txt: cannot be read"),
    "no set": (["eval", "finegrained", "{tmp}/x"], 5, "give the folder of CUB-200-2011"),
    "no run": (
        ["eval", "patterns", "{tmp}/empty", "--regions", "{tmp}/empty", "--names", "{tmp}/names.txt"], 2, "run.toml"
    ),
    "no names": (
        ["eval", "patterns", "{tmp}/empty", "--regions", "{tmp}/empty", "--names", "{tmp}/x.txt"], 5, "x.txt"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(program: Program, name: str, tmp_path: Path) -> None:
    words, code, said = MISTAKES[name]
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd.npz").write_bytes(b"nothing")
    (tmp_path / "names.txt").write_text("1 wall\n")
    ended = program(*(word.format(tmp=tmp_path) for word in words))
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 and ended.stdout == "" and not (tmp_path / "o.npz").exists()
