"""README and docs do not rot: their Python is executed, their commands are looked up."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from dff_onnx import Backbone, Settings, run
from dff_onnx.cli import app
from dff_onnx.records import Preprocessing
from dff_onnx.zoo import read_card

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NAMED = (
    "models", "results", "report", "bank", "apply", "choice", "tree", "faithfulness", "evaluation", "foreground",
    "deep-features", "cam", "finetune", "deploy", "quantize", "store", "retrieval", "retrieval-search",
    "retrieval-evaluation", "retrieval-graphs", "objects", "large",
)  # fmt: skip
DOCS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in NAMED}
MODELS = DOCS["models"]
TEXTS = README + "".join(DOCS.values())
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples name: `pictures`, `vgg19.onnx` and `classifier.onnx`, small."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)).save(tmp_path / "pictures" / name)
    weights = numpy_helper.from_array(rng.normal(0, 0.2, (8, 3, 16, 16)).astype(np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "weights"], ["conv"], strides=[16, 16]),
            helper.make_node("Relu", ["conv"], ["relu5_4"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("relu5_4", TensorProto.FLOAT, ["n", 8, "h16", "w16"])],
        [weights],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "vgg19.onnx").write_bytes(made.SerializeToString())
    made.graph.node.append(helper.make_node("GlobalAveragePool", ["relu5_4"], ["pooled"]))
    made.graph.node.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    made.graph.node.append(helper.make_node("Gemm", ["flat", "classes"], ["logits"]))
    made.graph.initializer.append(numpy_helper.from_array(rng.normal(0, 1, (8, 5)).astype(np.float32), "classes"))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 5]))
    (tmp_path / "classifier.onnx").write_bytes(made.SerializeToString())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_in_the_readme_runs(code: str, surroundings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert surroundings.is_dir()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_python_in_the_text_on_class_maps_runs(surroundings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r"```python\n(.*?)```", DOCS["cam"], re.DOTALL)
    assert surroundings.is_dir()
    exec(compile(code, "cam.md", "exec"), {})
    assert "class " in capsys.readouterr().out


def test_python_in_the_texts_on_banks_and_results_runs(surroundings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (surroundings / "pictures").rename(surroundings / "FOLDER")
    run("FOLDER", "made", Backbone.open(), Settings(k=2))
    (surroundings / "made" / "bank.npz").rename(surroundings / "bank.npz")
    for name in ("apply", "results", "deploy"):
        for code in re.findall(r"```python\n(.*?)```", DOCS[name], re.DOTALL):
            exec(compile(code, f"{name}.md", "exec"), {})
    assert (surroundings / "OUT" / "report.html").is_file() and (surroundings / "concepts.onnx").is_file()
    assert len(capsys.readouterr().out.splitlines()) == 6  # a line for each concept of each picture, and of one again


@pytest.mark.parametrize("name", ["choice", "tree", "quantize", "retrieval"])
def test_python_in_the_text_runs(name: str, surroundings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS[name], re.DOTALL)
    assert surroundings.is_dir()
    exec(compile(code, f"{name}.md", "exec"), {})
    assert capsys.readouterr().out


def test_python_in_the_text_on_the_factorization_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "docs" / "factorization.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, "factorization.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("line", re.findall(r"^    (dff-onnx .*?)(?:\s+#.*)?$", TEXTS, re.MULTILINE))
def test_commands_in_the_texts_exist_with_their_options(line: str) -> None:
    _, name, *words = shlex.split(line)
    command = COMMANDS[name]
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known


def test_the_card_in_the_text_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", MODELS, re.DOTALL)
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    card = read_card(tmp_path / "mine.toml")
    assert (card.name, card.layer, card.preprocessing) == ("mine", "layer3.5", Preprocessing())


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE) or target == "demo"
