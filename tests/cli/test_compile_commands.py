"""`dff-onnx compile` and `dff-onnx verify` as a person meets them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image
from test_apply_command import network
from typer.testing import CliRunner, Result

from dff_onnx.backbone.session import Backbone
from dff_onnx.cli import app
from dff_onnx.deploy.metadata import CONCEPTS
from dff_onnx.errors import DffError
from dff_onnx.images import Resize
from dff_onnx.runs.run import run
from dff_onnx.runs.settings import Settings


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(*words: str | Path) -> tuple[str, list[str]]:
    """stdout, and the lines of stderr, of a command that ends well."""
    ended = command(*words)
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.stdout, ended.stderr.splitlines()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`net.onnx`, six pictures, and `run`, in the working folder."""
    network(tmp_path / "net.onnx")
    (tmp_path / "pictures").mkdir()
    for seed in range(6):
        pixels = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((120, 90)).save(tmp_path / "pictures" / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    settings = Settings(k=3, resize=Resize("square", 64), overlays="none", report="none")
    run("pictures", "run", Backbone.open("net.onnx", threads=1), settings)
    # A bank finds its network beside itself.
    (tmp_path / "run" / "net.onnx").write_bytes((tmp_path / "net.onnx").read_bytes())
    return tmp_path


def test_a_bank_is_compiled_and_verified(home: Path) -> None:
    shown, lines = said("compile", "run/bank.npz", "-o", "c.onnx")
    assert not shown and max(map(len, lines)) <= 80
    assert re.match(r"c\.onnx: \d+\.\d MiB, \d+ kB more than the network's file", lines[0])
    text = "\n".join(lines)
    assert "image (n, h, w, 3) uint8, RGB" in text and "heatmaps (n, 3, h, w), scores (n, 3)" in text
    assert re.search(r"checked  against Python on 1 picture: differs by \de-\d\d at most", text)
    shown, aside = said("verify", "c.onnx", "pictures", "--model", "net.onnx", "--bank", "run/bank.npz")
    assert not aside and shown.splitlines()[-1] == "agrees with the Python pipeline on 6 pictures"
    assert [line.split()[0] for line in shown.splitlines()[1:-1]] == ["heatmaps", "scores", "boxes", "loss", "kkt"]
    assert "of 18 differ" in shown and max(map(len, shown.splitlines())) <= 80
    table = json.loads(said("verify", "c.onnx", "--model", "net.onnx", "--json")[0])
    assert table["good"] is True and table["pictures"] == 3 and table["outputs"][0]["output"] == "heatmaps"
    assert (home / "c.onnx").is_file()


def test_options_reach_the_file_and_too_few_rounds_are_told(home: Path) -> None:
    _, lines = said("compile", "run/bank.npz", "-o", "c.onnx", "--unroll", "1", "--no-heatmaps", "--opset", "21")
    assert "1 were unrolled" in lines[-1] and "mask_boxes" in "\n".join(lines)
    made = onnx.load(home / "c.onnx")
    assert [one.name for one in made.graph.output] == ["scores", "mask_boxes", "loss", "kkt"]
    assert made.opset_import[0].version == 21
    _, lines = said("compile", "run/bank.npz", "-o", "t.onnx", "--tight-boxes", "--float16")
    assert "mask_boxes" in "\n".join(lines)


def test_a_factorization_is_compiled_and_verified(home: Path) -> None:
    _, lines = said("compile", "net.onnx", "--fit", "-k", "2", "--size", "64", "-o", "f.onnx", "--mean", "0,0,0")
    assert "concepts (2, c)" in "\n".join(lines) and "on 6 pictures" in lines[-1]
    _, lines = said("compile", "net.onnx", "--fit", "-k", "2", "--size", "64", "-o", "f.onnx")
    assert "does not say its preprocessing" in lines[-2] and max(map(len, lines)) <= 80
    shown, _ = said("verify", "f.onnx", "pictures", "--model", "net.onnx")
    assert shown.splitlines()[1].startswith("loss") and shown.splitlines()[-1].startswith("agrees")
    assert (home / "f.onnx").is_file()


def test_a_file_that_differs_costs_exit_code_5(home: Path) -> None:
    said("compile", "run/bank.npz", "-o", "c.onnx")
    made = onnx.load(home / "c.onnx")
    held = next(one for one in made.graph.initializer if one.name == CONCEPTS)
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held)[::-1].copy(), CONCEPTS))
    onnx.save(made, home / "changed.onnx")
    ended = command("verify", "changed.onnx", "--model", "net.onnx", "--bank", "run/bank.npz")
    assert ended.exit_code == 5 and "TOO MUCH" in ended.stdout and "DIFFERS from" in ended.stdout
    ended = command("verify", "changed.onnx", "--model", "net.onnx", "--bank", "run/bank.npz", "--json")
    assert ended.exit_code == 5 and json.loads(ended.stdout)["good"] is False


MISTAKES = {
    "a network alone": (["compile", "net.onnx", "-o", "o.onnx"], 2, "or --fit to compile the factorization"),
    "no such bank": (["compile", "none.npz", "-o", "o.onnx"], 2, "there is no such file"),
    "no bank": (["compile", "pictures/0.png", "-o", "o.onnx"], 5, "cannot be read as a bank"),
    "no network": (["compile", "run/bank.npz", "--model", "x.onnx", "-o", "o.onnx"], 2, "there is no such file"),
    "no rounds": (["compile", "run/bank.npz", "--unroll", "0", "-o", "o.onnx"], 2, "unroll: 1 to 1000 rounds"),
    "an old opset": (["compile", "run/bank.npz", "--opset", "12", "-o", "o.onnx"], 2, "opset: 18 to"),
    "no foreground": (["compile", "run/bank.npz", "--foreground", "-o", "o.onnx"], 2, "this bank holds none"),
    "no classifier": (["compile", "run/bank.npz", "--cam", "-o", "o.onnx"], 2, "no classifier's head looks"),
    "k of a bank": (["compile", "run/bank.npz", "-k", "3", "-o", "o.onnx"], 2, "-k: goes with --fit"),
    "rounds of a fit": (["compile", "net.onnx", "--fit", "--unroll", "9", "-o", "o.onnx"], 2, "--unroll: is for banks"),
    "too many": (["compile", "net.onnx", "--fit", "-k", "99", "-o", "o.onnx"], 2, "k: 1 to 32"),
    "a negative layer": (["compile", "net.onnx", "--fit", "--layer", "conv", "-o", "o.onnx"], 5, "can be negative"),
    "no size": (["compile", "run/bank.npz", "-o", "x.onnx", "--size", "0"], 2, "--size: goes with --fit"),
    "names alone": (["compile", "run/bank.npz", "-o", "x.onnx", "--class-names", "n.txt"], 2, "goes with --cam"),
    "here": (["compile", "run/bank.npz", "-o", "."], 2, "is a folder"),
    "cut here": (["cut", "net.onnx", "--layer", "relu", "-o", "."], 2, "is a folder"),
    "over the bank": (["compile", "run/bank.npz", "-o", "run/../run/bank.npz"], 2, "choose another with -o"),
    "over the network": (["compile", "net.onnx", "--fit", "-o", "net.onnx"], 2, "choose another with -o"),
    "no folder": (["compile", "run/bank.npz", "-o", "net.onnx/o.onnx"], 7, "cannot be written"),
    "verify a network": (["verify", "net.onnx"], 5, "is no compiled file"),
    "verify nothing": (["verify", "none.onnx"], 2, "there is no such file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, home: Path) -> None:
    words, code, sentence = MISTAKES[name]
    with pytest.raises(DffError, match=re.escape(sentence)) as caught:
        said(*words)
    assert caught.value.exit_code == code and str(caught.value).isprintable()
    assert not (home / "o.onnx").exists()
