"""`dff-onnx cam` as people call it, and the sentence that each mistake gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner, Result

from dff_onnx.cli import app
from dff_onnx.errors import DffError

CLASSES = 5


def network(nodes: list[NodeProto], *weights: tuple[str, tuple[int, ...]]) -> bytes:
    rng = np.random.default_rng(0)
    tensors = [numpy_helper.from_array(rng.normal(0, 1, shape).astype(np.float32), name) for name, shape in weights]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 20)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures, a classifier, one whose head is fully connected, one without any grid."""
    rng = np.random.default_rng(1)
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "pictures" / name)
    features = [
        helper.make_node("Conv", ["image", "kernel"], ["conv"], strides=[8, 8], name="first"),
        helper.make_node("Relu", ["conv"], ["features"]),
    ]
    pooled = [
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "classes"], ["logits"], name="fc"),
    ]
    connected = [
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("Gemm", ["flat", "classes"], ["logits"], name="fc"),
    ]
    flat = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "classes"], ["logits"], name="fc"),
    ]
    kernel = ("kernel", (9, 3, 8, 8))
    (tmp_path / "net.onnx").write_bytes(network(features + pooled, kernel, ("classes", (9, CLASSES))))
    (tmp_path / "vgg.onnx").write_bytes(network(features + connected, kernel, ("classes", (9 * 64, CLASSES))))
    (tmp_path / "mlp.onnx").write_bytes(network(flat, ("classes", (3 * 64 * 64, CLASSES))))
    (tmp_path / "names.txt").write_text("ape\nbear\ncat\ndog\nelk\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("ape\nbear\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["cam", "pictures", "-o", "out", "--size", "64", *words])


def test_classes_are_named_mapped_and_printed(home: Path) -> None:
    made = call("--model", "net.onnx", "--class-names", "names.txt", "--classes", "dog,0", "--json")
    assert made.exit_code == 0, made.output
    results = json.loads(made.stdout)
    assert [one["name"] for one in results["images"][0]["table"]] == ["dog", "ape"]
    assert "cam of a network of 5 classes" in made.stderr and max(map(len, made.stderr.splitlines())) <= 80
    assert "  mapped in all: dog, ape\n" in made.stderr
    assert (home / "out" / "predictions.csv").is_file() and (home / "out" / "overlays" / "a.png").is_file()


@pytest.mark.parametrize("words", ["top2", "Top2", " top 2 "])
def test_the_best_classes_may_be_asked_for_with_a_space_or_a_capital(home: Path, words: str) -> None:
    made = call("--model", "net.onnx", "--classes", words)
    assert made.exit_code == 0, made.output
    assert 'classes = "top2"' in (home / "out" / "run.toml").read_text() and "mapped in all" not in made.stderr


def test_a_list_may_have_spaces_around_its_commas(home: Path) -> None:
    made = call("--model", "net.onnx", "--class-names", "names.txt", "--classes", " dog , 0 ")
    assert made.exit_code == 0, made.output
    assert "classes = [3, 0]" in (home / "out" / "run.toml").read_text()


def test_a_preprocessing_that_nobody_said_is_told(home: Path) -> None:
    assert home.is_dir()
    assert "net.onnx: does not say its preprocessing" in call("--model", "net.onnx").stderr
    said = call("--model", "net.onnx", "--mean", "0.5,0.5,0.5", "--std", "1,1,1", "--overwrite")
    assert said.exit_code == 0 and "does not say" not in said.stderr


def test_other_methods_take_what_has_no_pooled_head(home: Path) -> None:
    assert home.is_dir()
    for method in ("eigen-cam", "score-cam", "ablation-cam"):
        made = call("--model", "vgg.onnx", "--method", method, "--classes", "top2", "--overwrite")
        assert made.exit_code == 0, made.output


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("--model vgg.onnx", 5, r"Gemm 'fc' does not follow a pooling.*Relu 'features' lies before it.*--method"),
        ("--model vgg.onnx --method grad-cam", 5, r"exporters/tail_gradient\.py vgg\.onnx --layer LAYER"),
        ("--model mlp.onnx", 5, "has no layer with a grid of features"),
        ("--model compact", 5, "it is a backbone without a classifier"),
        ("--model net.onnx --head first", 5, "pools the features that Gemm 'fc' looks at"),
        ("--model net.onnx --head nothing", 2, "has no layer 'nothing' for --head"),
        ("--model net.onnx --head none.npz", 2, "there is no such file"),
        ("--model net.onnx --features image", 5, "has no layer 'image'"),
        ("--model net.onnx --classes zebra", 2, "class 'zebra': there is no such class"),
        ("--model net.onnx --classes 5", 2, "their numbers are 0 to 4"),
        ("--model net.onnx --classes top0", 2, "top1 to top20"),
        ("--model net.onnx --classes 1,1", 2, "each class is mapped once, and class 1 is named twice"),
        ("--model net.onnx --classes top2,1", 2, "--classes: top2 stands alone in 'top2,1'"),
        ("--model net.onnx --classes 1,,2", 2, "--classes: a class is missing in '1,,2'"),
        ("--model net.onnx --features EAT", 5, r"has no layer 'EAT'; the nearest: features \("),
        ("--model compact --method eigen-cam", 5, "it is a backbone without a classifier"),
        ("--model net.onnx --class-names two.txt", 2, "2 are given and the network has 5 classes"),
        ("--model net.onnx --gradients net.onnx", 2, "goes with --method grad-cam"),
        ("--model net.onnx --method grad-cam --gradients net.onnx", 5, "is no file of a tail's gradient"),
        ("--model net.onnx --crops 10", 2, "--size 256"),
        ("--model net.onnx --overlays some", 2, "--overlays: all, none or a number"),
        ("--model nothing.onnx", 2, "there is no such file"),
    ],
)
def test_each_mistake_gets_one_sentence(home: Path, words: str, code: int, sentence: str) -> None:
    made = call(*words.split())
    assert isinstance(made.exception, DffError), made.output
    assert made.exception.exit_code == code
    assert not (home / "out").exists()
    with pytest.raises(type(made.exception), match=sentence):
        raise made.exception
    assert "\n" not in str(made.exception)
