"""`dff-onnx apply` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from dff_onnx.cli import app
from dff_onnx.errors import BankError, ModelError, UsageError

COLOURS = ((230, 20, 20), (20, 200, 20), (30, 30, 220))
STRIPES = np.where(np.arange(8) % 4 < 2, 1, -1)[:, None]


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def network(path: Path, strength: float = 1) -> Path:
    """Red, green, blue and what is not these, and stripes, up and down: averaged over cells of 8 x 8 pixels."""
    away = np.eye(3) - 1 / 3
    ways = np.concatenate([away, -away, np.ones((2, 3))])
    kernels = ways[:, :, None, None] * np.ones((8, 8)) * strength / 64
    kernels[6] *= STRIPES
    kernels[7] *= -STRIPES
    weights = numpy_helper.from_array(kernels.astype(np.float32), "weights")
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["conv"], strides=[8, 8]),
        helper.make_node("Relu", ["conv"], ["relu"]),
    ]
    source = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    end = helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["n", 8, "h8", "w8"])
    graph = helper.make_graph(nodes, "tiny", [source], [end], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(made.SerializeToString())
    return path


def pictures(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        pixels = np.full((90, 120, 3), 128, np.uint8)
        for colour in COLOURS:
            x, y = rng.integers(0, 80), rng.integers(0, 50)
            pixels[y : y + 40, x : x + 40] = colour
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a network that lies beside its bank; other pictures in `new`."""
    monkeypatch.setenv("DFF_ONNX_CACHE", str(tmp_path / "cache"))
    model = network(tmp_path / "tiny.onnx")
    first = pictures(tmp_path / "first", range(5))
    ended = command(
        "run", first, "-o", tmp_path / "out", "--model", model, "-k", "3", "--scale", "0.01", "--size", "96"
    )
    assert ended.exit_code == 0, ended.output
    (tmp_path / "out" / "bank.npz").rename(tmp_path / "bank.npz")
    pictures(tmp_path / "new", range(5, 9))
    return tmp_path


def test_the_network_is_found_and_only_results_are_on_stdout(home: Path) -> None:
    words = ["apply", home / "bank.npz", home / "new", "-o", home / "applied"]
    ended = subprocess.run(
        [sys.executable, "-m", "dff_onnx", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0 and ended.stdout == "", ended.stderr
    assert "4 pictures, device cpu" in ended.stderr and "the bank explains all of them" in ended.stderr
    assert "of the bank's own pictures" in ended.stderr and max(map(len, ended.stderr.splitlines()[:-1])) <= 80
    again = command(*words, "--json")
    assert again.exit_code == 0 and json.loads(again.stdout) == json.loads((home / "applied/results.json").read_text())
    document = json.loads(again.stdout)
    assert document["images"][0]["input"] == {"width": 96, "height": 96}
    assert document["fingerprint"]["preprocessing"]["scale"] == 0.01 and document["fit"] is None
    assert (home / "applied" / "bank.npz").read_bytes() == (home / "bank.npz").read_bytes()


def test_pictures_that_are_not_explained_are_named(home: Path) -> None:
    for number in range(4):
        lines = np.tile(128 + (40 + number) * STRIPES, (12, 96)).astype(np.uint8)
        Image.fromarray(lines).convert("RGB").save(home / "new" / f"lines{number}\x07.png")
    ended = command("apply", home / "bank.npz", home / "new", "-o", home / "applied", "--overlays", "none")
    assert ended.exit_code == 0, ended.output
    found = json.loads((home / "applied" / "results.json").read_text())["applied"]["unexplained"]
    assert sorted(found) == [f"lines{number}\x07.png" for number in range(4)]
    said = ended.stderr.splitlines()
    assert any(line.startswith("  4 pictures not explained") for line in said)
    assert [line.split()[1] for line in said if line.endswith(".png")] == [
        name.replace("\x07", r"\x07")
        for name in found[:3]  # a terminal would ring
    ]
    assert any("and 1 more" in line for line in said)


def test_sizes_names_and_failures(home: Path) -> None:
    words = ["apply", home / "bank.npz", home / "new", "-o", home / "applied", "--overlays", "none"]
    (home / "new" / "bad.png").write_bytes(b"no picture")
    ended = command(*words, "--short-side", "64", "--crf", "--report", "none")
    assert ended.exit_code == 3 and "1 picture could not be used" in ended.stderr
    assert json.loads((home / "applied" / "results.json").read_text())["images"][0]["input"]["height"] == 64
    assert not (home / "applied" / "report.html").exists()
    assert isinstance(command(*words).exception, UsageError)  # other settings
    (home / "applied" / "labels.json").write_text('{"0": "red"}')
    assert command("label", home / "applied", "--from", home / "applied" / "labels.json").exit_code == 0
    again = command(*words, "--overwrite")
    assert again.exit_code == 3 and "labels.json" not in again.stderr  # replaced, names and all
    assert command("label", home / "applied", "--from", _names(home)).exit_code == 0
    assert "give them back with dff-onnx label" in command(*words).stderr


def _names(home: Path) -> Path:
    (home / "names.json").write_text('{"0": "red"}')
    return home / "names.json"


def test_a_network_that_is_not_found_or_another_one_is_refused(home: Path) -> None:
    words = ["apply", home / "bank.npz", home / "new", "-o", home / "applied"]
    other = network(home / "other.onnx", 2)
    refused = command(*words, "--model", other)
    assert isinstance(refused.exception, BankError) and refused.exception.exit_code == 5
    assert str(refused.exception).count("layer 'relu'") == 2
    (home / "tiny.onnx").rename(home / "elsewhere")
    lost = command(*words)
    assert isinstance(lost.exception, ModelError) and "1 ONNX file beside it" in str(lost.exception)
    (home / "elsewhere").rename(home / "sub.onnx")
    assert not (home / "applied").exists()
    assert command(*words).exit_code == 0  # under another name
    assert isinstance(command("apply", home / "nothing.npz", home / "new", "-o", home / "x").exception, UsageError)
