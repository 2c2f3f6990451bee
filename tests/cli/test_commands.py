"""The commands as a person meets them: help, exit codes, one sentence for each mistake."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from dff_onnx.cli import app

PROGRAM = [sys.executable, "-m", "dff_onnx"]


def program(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny network: one strided convolution and a ReLU, eight channels, stride 8."""
    rng = np.random.default_rng(0)
    weights = numpy_helper.from_array(rng.normal(0, 0.2, (8, 3, 8, 8)).astype(np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weights"], ["conv"], strides=[8, 8]),
            helper.make_node("Relu", ["conv"], ["relu"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("relu", TensorProto.FLOAT, ["n", 8, "h8", "w8"])],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "tiny.onnx").write_bytes(made.SerializeToString())
    return tmp_path / "tiny.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(made / name)
    return made


def names(group: Any = None, before: str = "") -> list[str]:
    """Of every command, those of groups included: `run`, `models list`."""
    found: list[str] = []
    for name, command in (group or typer.main.get_command(app)).commands.items():
        found += [before + name] + (names(command, f"{name} ") if hasattr(command, "commands") else [])
    return sorted(found)


@pytest.mark.parametrize("name", names())
def test_every_command_has_help_that_fits_80_columns(name: str) -> None:
    shown = subprocess.run(
        [*PROGRAM, *name.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    ).stdout
    assert "Usage:" in shown and max(map(len, shown.splitlines())) <= 80
    command: Any = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    assert command.help
    assert all(getattr(option, "help", True) for option in command.params)


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dff-onnx', '--help']\n"
        "from dff_onnx.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'scipy', 'PIL', 'rich.progress') if m in sys.modules])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.splitlines()[-1] == "[]"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2


def test_a_run_is_silent_on_stdout_and_json_is_all_there(folder: Path, model: Path, tmp_path: Path) -> None:
    quiet = program("run", folder, "-o", tmp_path / "a", "--model", model, "-k", "2")
    assert quiet.returncode == 0 and quiet.stdout == "" and "explained by 2 concepts" in quiet.stderr
    spoken = program("run", folder, "-o", tmp_path / "a", "--model", model, "-k", "2", "--json")
    assert json.loads(spoken.stdout) == json.loads((tmp_path / "a" / "results.json").read_text())


def test_the_embedded_backbone_is_the_default(folder: Path, tmp_path: Path) -> None:
    ended = program("run", folder, "-o", tmp_path / "a", "-k", "2", "--size", "64")
    assert ended.returncode == 0, ended.stderr
    named = program("run", folder, "-o", tmp_path / "b", "-k", "2", "--size", "64", "--model", "compact")
    assert named.returncode == 0
    assert (tmp_path / "a" / "results.json").read_bytes() == (tmp_path / "b" / "results.json").read_bytes()
    assert "features" in program("layers", "compact").stdout
    cut = program("cut", "compact", "--layer", "fire5", "-o", tmp_path / "fire5.onnx")
    assert cut.returncode == 0 and "to fire5" in cut.stderr


def test_foreground_mode_says_how_sure_it_is(folder: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = program("run", folder, "-o", out, "--model", model, "--foreground", "--size", "128", "--crf")
    assert done.returncode == 0 and "sure: " in done.stderr and max(map(len, done.stderr.splitlines()[:-1])) <= 80
    said = json.loads((out / "results.json").read_text())
    assert [concept["name"] for concept in said["concepts"]] == ["foreground"] and said["fit"] is None
    repeated = program("run", folder, "-o", out, "--model", model, "--foreground", "--size", "128", "--crf", "--json")
    assert json.loads(repeated.stdout) == said


def test_thresholds_and_crf_reach_the_run(folder: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--threshold", "otsu", "--domain", "native", "--crf", "--crf-mode", "joint")
    assert program("run", folder, "-o", out, "--model", model, "-k", "2", *words).returncode == 0
    settings = tomllib.loads((out / "run.toml").read_text())["settings"]
    assert (settings["threshold"], settings["domain"], settings["crf"]) == ("otsu", "native", "joint")


def test_one_bad_picture_costs_exit_code_3(folder: Path, model: Path, tmp_path: Path) -> None:
    (folder / "c.jpg").write_bytes(b"nothing")
    ended = program("run", folder, "-o", tmp_path / "out", "--model", model, "-k", "2")
    assert ended.returncode == 3 and "c.jpg" in ended.stderr
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["images"]) == 2


MISTAKES = {
    "missing folder": (["run", "{tmp}/nowhere", "-o", "{tmp}/o", "--model", "{model}"], 2, "no such folder"),
    "empty folder": (["run", "{tmp}/empty", "-o", "{tmp}/o", "--model", "{model}"], 4, "holds no pictures"),
    "output inside input": (["run", "{in}", "-o", "{in}/o", "--model", "{model}"], 2, "inside the folder"),
    "unwritable output": (["run", "{in}", "-o", "{model}/o", "--model", "{model}"], 7, "cannot be made"),
    "unknown layer": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--layer", "rel"], 5, "no layer 'rel'"),
    "no ONNX": (["run", "{in}", "-o", "{tmp}/o", "--model", "{in}/a.jpg"], 5, "not an ONNX file"),
    "no model": (["run", "{in}", "-o", "{tmp}/o", "--model", "{tmp}/x.onnx"], 2, "no such file"),
    "k = 0": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "-k", "0"], 2, "at least one concept"),
    "k too large": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "-k", "9"], 2, "9 concepts are more"),
    "names": (["run", "{in}", "-o", "{tmp}/o", "--foreground", "--class-names", "x"], 2, "--class-names does not go"),
    "two kinds": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "-k", "2", "--foreground"], 2, "leave one"),
    "mode of no CRF": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--crf-mode", "joint"], 2, "needs --crf"),
    "odd fraction": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--fraction", "0.2"], 2, "has no effect"),
    "odd percentile": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--percentile", "101"], 2, "0 to 100"),
    "two sizes": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--size", "64", "--long-side", "9"], 2, "one"),
    "odd overlays": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--overlays", "some"], 2, "--overlays"),
    "odd mean": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--mean", "1,2"], 2, "three figures"),
    "layers of no model": (["layers", "{in}/a.jpg"], 5, "not an ONNX file"),
    "cut at no layer": (["cut", "{model}", "--layer", "x", "-o", "{tmp}/y.onnx"], 5, "no layer 'x'"),
    "no known name": (["run", "{in}", "-o", "{tmp}/o", "--model", "vgg91"], 2, "did you mean vgg19?"),
    "no card": (["run", "{in}", "-o", "{tmp}/o", "--card", "{tmp}/x.toml"], 2, "no such file"),
    "no such network": (["models", "get", "vgg91"], 2, "`dff-onnx models list` has those"),
    "both signs": (["cut", "{model}", "--layer", "relu", "-o", "{tmp}/y.onnx", "--rectify", "--split"], 2, "one of"),
    "negative": (["run", "{in}", "-o", "{tmp}/o", "--model", "{model}", "--layer", "conv"], 5, "(the nearest: relu)"),
    "odd constant": (["cut", "{model}", "--layer", "relu", "-o", "{tmp}/y.onnx", "--constant", "x"], 2, "NAME=VALUE"),
    "no input": (["cut", "{model}", "--layer", "relu", "-o", "{tmp}/y.onnx", "--constant", "x=1"], 2, "no input 'x'"),
    "graphs on a CPU": (["run", "{in}", "-o", "{tmp}/o", "--device", "cpu", "--cuda-graph"], 6, "CUDA graphs"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence_and_its_exit_code(name: str, folder: Path, model: Path, tmp_path: Path) -> None:
    words, code, said = MISTAKES[name]
    (tmp_path / "empty").mkdir()
    ended = program(*(word.format(**{"tmp": tmp_path, "in": folder, "model": model}) for word in words))
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr and "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1 and ended.stdout == ""
    assert not (tmp_path / "o").exists()


def test_cuda_asked_for_and_absent_is_an_error(folder: Path, model: Path, tmp_path: Path) -> None:
    from dff_onnx.backbone.runtime import driver_present

    if driver_present():
        pytest.skip("this machine has a CUDA driver")
    ended = program("run", folder, "-o", tmp_path / "o", "--model", model, "--device", "cuda")
    assert ended.returncode == 6 and "CUDA was asked for" in ended.stderr and ended.stdout == ""


def test_other_settings_on_a_run_cost_exit_code_2(folder: Path, model: Path, tmp_path: Path) -> None:
    words = ["run", folder, "-o", tmp_path / "o", "--model", model]
    assert program(*words, "-k", "2").returncode == 0
    ended = program(*words, "-k", "3")
    assert ended.returncode == 2 and "--overwrite" in ended.stderr
    assert program(*words, "-k", "3", "--overwrite").returncode == 0


def test_the_doctor_finds_one_runtime_and_says_where_things_run() -> None:
    ended = program("doctor", "--json")
    found = {finding["what"]: finding for finding in json.loads(ended.stdout)}
    assert ended.returncode == 0 and found["ONNX Runtime"]["good"]
    assert found["backbone on"]["found"] in ("cpu", "cuda")


def test_the_version_is_the_packages() -> None:
    from dff_onnx import __version__

    assert program("--version").stdout == f"dff-onnx {__version__}\n"


def test_a_terminal_shows_each_stage_with_its_rate(folder: Path, model: Path, tmp_path: Path) -> None:
    shown = b""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
        words = ["run", str(folder), "-o", str(tmp_path / "o"), "--model", str(model), "-k", "2"]
        os.execv(sys.executable, [*PROGRAM, *words])
    with contextlib.suppress(OSError):  # Linux says so when the other side hangs up
        while data := os.read(terminal, 4096):
            shown += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown.decode()
    for word in ("reading", "factorizing", "drawing", "2/2", "/s", "written to"):
        assert word in shown.decode()
