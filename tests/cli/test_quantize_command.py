"""`dff-onnx quantize` as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_apply_command import network
from typer.testing import CliRunner, Result

from dff_onnx.cli import app
from dff_onnx.cli.quantize_text import quantized_lines
from dff_onnx.errors import DffError
from dff_onnx.report.found import Failure
from dff_onnx.runs.quantize import ConceptKept, Effect, Quantized, Speed

WORDS = ("quantize", "net.onnx", "--calibration", "pictures", "-o", "out.onnx", "--size", "64", "-k", "2")
MADE = Quantized(
    path=Path("out.onnx"),
    layer="relu",
    calibrated=20,
    size=2**20,
    float_size=4 * 2**20,
    effect=Effect(64, 0.123, 0.98765, 0.5, (ConceptKept(0, 0.9991, 0.956, 0.967), ConceptKept(1, 0.5, 0.6, 0.7))),
    speed=Speed(87.65, 24.5, 3.578),
    assumed=False,
    failures=(),
)


def command(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`net.onnx` and six pictures, in the working folder."""
    network(tmp_path / "net.onnx")
    (tmp_path / "pictures").mkdir()
    for seed in range(6):
        pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((120, 90)).save(tmp_path / "pictures" / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_effect_is_told_whenever_a_network_is_quantized(home: Path) -> None:
    ended = command(*WORDS)
    assert ended.exit_code == 0 and ended.stdout == "" and (home / "out.onnx").is_file()
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("out.onnx: 3 kB where float has 7 kB") and max(map(len, lines)) <= 80
    text = " ".join(ended.stderr.split())
    assert "calibrated on 3 pictures" in text and "on 3 pictures that it was not calibrated on" in text
    assert "heat maps change" in text or "another solution" in text


def test_json_is_all_there_and_alone_on_stdout(home: Path) -> None:
    """The tool prints, and so does ONNX Runtime: seen from outside, where its own stdout is one, too."""
    words = [sys.executable, "-m", "dff_onnx", *WORDS, "--json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout)
    assert set(told) == {
        "path", "layer", "calibrated", "size", "float_size", "effect", "speed", "assumed", "failures", "verdict",
    }  # fmt: skip
    assert set(told["effect"]["concepts"][0]) == {"number", "cosine", "iou", "applied"}
    assert told["size"] == (home / "out.onnx").stat().st_size and told["verdict"].split()[0] in ended.stderr


def test_the_order_of_pythons_sets_does_not_matter(home: Path) -> None:
    written = []
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "dff_onnx", *WORDS]
        subprocess.run(words, capture_output=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        written.append((home / "out.onnx").read_bytes())
    assert written[0] == written[1]


@pytest.mark.usefixtures("home")
def test_the_file_needs_no_options() -> None:
    assert command(*WORDS, "--mean", "1,1,1", "--std", "1,1,1", "--scale", "0.0078").exit_code == 0
    ran = command("run", "pictures", "-o", "run", "--model", "out.onnx", "-k", "2", "--size", "64")
    assert ran.exit_code == 0 and "does not say" not in ran.stderr
    listed = command("layers", "out.onnx", "--json")
    assert any(one["nonnegative"] for one in json.loads(listed.stdout))
    assert command("layers", "out.onnx", "--on", "pictures", "--size", "64").exit_code == 0
    assert command("compile", "out.onnx", "--fit", "-k", "2", "-o", "fit.onnx", "--size", "64").exit_code == 0
    assert command("compile", "run/bank.npz", "--model", "out.onnx", "-o", "bank.onnx").exit_code == 0


def test_one_bad_picture_costs_exit_code_3(home: Path) -> None:
    (home / "pictures" / "3.png").write_bytes(b"nothing")
    ended = command(*WORDS)
    assert ended.exit_code == 3 and (home / "out.onnx").is_file()
    lines = ended.stderr.splitlines()
    assert lines[-2] == "1 picture could not be used:" and lines[-1].startswith("  3.png: is not a picture")


@pytest.mark.usefixtures("home")
def test_nobody_said_the_preprocessing_and_that_is_told() -> None:
    assert "ImageNet's was" in command(*WORDS).stderr
    assert "ImageNet's was" not in command(*WORDS, "--mean", "0,0,0").stderr


MISTAKES = {
    "no calibration": (["--calibration", "nowhere"], 2, "no such folder"),
    "empty folder": (["--calibration", "empty"], 4, "holds no pictures"),
    "no layer": (["--layer", "x"], 5, "has no layer 'x'"),
    "two sizes": (["--long-side", "64"], 2, "give one of --size"),
    "many concepts": (["-k", "99"], 2, "99 concepts are more"),
    "itself": (["-o", "net.onnx"], 2, "is what the file is to be made of"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, home: Path) -> None:
    words, code, said = MISTAKES[name]
    (home / "empty").mkdir()
    ended = command(*WORDS, *words)
    assert isinstance(ended.exception, DffError) and ended.exception.exit_code == code
    assert said in str(ended.exception) and "\n" not in str(ended.exception)
    assert ended.stdout == "" and not (home / "out.onnx").exists()


def test_quantized_and_halved_networks_are_refused(home: Path) -> None:
    assert command(*WORDS).exit_code == 0
    assert command("cut", "net.onnx", "--layer", "relu", "--float16", "-o", "half.onnx").exit_code == 0
    for name, said in (("out.onnx", "is quantized already"), ("half.onnx", "has weights in float16")):
        ended = command("quantize", name, *WORDS[2:4], "-o", "again.onnx")
        assert isinstance(ended.exception, DffError) and ended.exception.exit_code == 5
        assert said in str(ended.exception) and not (home / "again.onnx").exists()


def test_figures_stand_in_their_columns() -> None:
    told = quantized_lines(MADE)
    assert told == [
        "out.onnx: 1.0 MiB where float has 4.0 MiB",
        "  layer        relu, calibrated on 20 pictures",
        "  speed here   24.5 ms a picture, 3.58 times as fast as float",
        "  measured     on 64 pictures that it was not calibrated on",
        "  activations  differ by 12.3%; cosine of a cell 0.9877, least 0.50",
        "  concept      cosine  IoU of masks  the same, not fitted anew",
        "        0      0.9991         0.956                      0.967",
        "        1      0.5000         0.600                      0.700",
        "  heat maps change more than they do when half of the pictures is left out; keep",
        "  the float network",
    ]


def test_names_that_a_terminal_would_obey_are_shown() -> None:
    hostile = replace(MADE, layer="a\x1b[2J", failures=(Failure("b\x1b.png", "c\x07"),), assumed=True)
    assert "\x1b" not in "\n".join(quantized_lines(hostile)) and "\x07" not in "\n".join(quantized_lines(hostile))
