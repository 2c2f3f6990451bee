"""Exported networks that keep their classifier."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import weight_files as files
from numpy.typing import NDArray
from random_weights import weights
from test_architecture_plans import PUBLISHED
from test_export_command import command, script

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.metadata import Metadata
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export import classifiers, export, export_file
from dff_onnx.export.architectures import classified, network

Arrays = dict[str, NDArray[Any]]
PIXELS = np.random.default_rng(3).integers(0, 256, (2, 75, 91, 3), np.uint8)


def head(architecture: str, classes: int) -> Arrays:
    """Random weights of a classifier."""
    trunk, rng = network(architecture), np.random.default_rng(9)
    new = classified(trunk, classes).expected.items() - trunk.expected.items()
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in sorted(new)}


def written(path: Path, architecture: str, arrays: Arrays) -> Path:
    trunk = {name: values.astype(np.float32) for name, values in weights(architecture).items()}
    return files.write(path, "safetensors", trunk | arrays)


def run(model: Any, image: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("w") / "s.safetensors", "squeezenet1_1", head("squeezenet1_1", 21))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("w") / "r.safetensors", "resnet18", head("resnet18", 5))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_whole_network_has_as_many_parameters_as_published(name: str) -> None:
    whole = classified(network(name), 1000)
    assert sum(math.prod(shape) for k, shape in whole.expected.items() if ".running_" not in k) == PUBLISHED[name]


def test_squeezenets_scores_are_its_pooled_rectified_class_maps(squeezenet: Path) -> None:
    found, arrays = run(export("squeezenet1_1", squeezenet, classifier=True), PIXELS), head("squeezenet1_1", 21)
    assert {name: x.shape for name, x in found.items()} == {"fire9": (2, 512, 4, 5), "logits": (2, 21)}
    maps = np.einsum("kc,nchw->nkhw", arrays["classifier.1.weight"][:, :, 0, 0].astype(np.float64), found["fire9"])
    expected = np.maximum(maps + arrays["classifier.1.bias"][:, None, None], 0).mean((2, 3))
    assert np.abs(found["logits"] - expected).max() <= 2e-6 * expected.max()


def test_resnets_scores_are_linear_in_its_pooled_features(resnet: Path) -> None:
    model, arrays = export("resnet18", resnet, classifier=True), head("resnet18", 5)
    found = run(model, PIXELS)
    expected = found["layer4.1"].mean((2, 3), dtype=np.float64) @ arrays["fc.weight"].T + arrays["fc.bias"]
    assert np.abs(found["logits"] - expected).max() <= 2e-6 * np.abs(expected).max()
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(held["fc.weight"], arrays["fc.weight"])
    assert [node.op_type for node in model.graph.node][-3:] == ["GlobalAveragePool", "Flatten", "Gemm"]


@pytest.mark.parametrize(("name", "layer", "cells"), [("alexnet", "relu5", 6), ("vgg11", "relu5_2", 7)])
def test_fully_connected_classifiers_take_one_size_of_pictures(
    name: str, layer: str, cells: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifiers, "HIDDEN", 8)  # 4096 would take a gigabyte
    arrays = head(name, 3)
    path, out = written(tmp_path / "w", name, arrays), tmp_path / "out.onnx"
    made = export_file(name, path, out, classifier=True)
    assert (made.classes, made.side, made.last.name) == (3, 224, layer)
    graph = onnx.load(out).graph
    shapes = {
        info.name: [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*graph.input, *graph.output, *graph.value_info)
    }
    assert shapes["image"] == ["n", 224, 224, 3]
    assert shapes["pool5"] == ["n", 512 if name.startswith("vgg") else 256, cells, cells]
    assert {name for node in graph.node for name in node.output} <= shapes.keys()
    whole = onnx.load(out)
    whole.graph.output.append(next(info for info in whole.graph.value_info if info.name == "pool5"))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), np.uint8)
    found = run(whole, pixels)
    rows = found["pool5"].reshape(3, -1).astype(np.float64)
    names = sorted({key.rpartition(".")[0] for key in arrays})
    for module in names:
        rows = rows @ arrays[f"{module}.weight"].T + arrays[f"{module}.bias"]
        rows = np.maximum(rows, 0) if module != names[-1] else rows
    assert found["logits"].shape == (3, 3)
    assert np.abs(found["logits"] - rows).max() <= 1e-5 * np.abs(rows).max()
    backbone = Backbone.open(out)
    np.testing.assert_allclose(np.asarray(backbone(pixels)), found[layer], rtol=1e-4, atol=1e-6 * found[layer].max())
    with pytest.raises(UsageError, match="its input has a fixed height of 224"):
        backbone(PIXELS)


def test_a_file_with_a_classifier_is_a_backbone_and_can_be_cut(squeezenet: Path, tmp_path: Path) -> None:
    both, alone = tmp_path / "both.onnx", tmp_path / "alone.onnx"
    made = export_file("squeezenet1_1", squeezenet, both, ["fire5", "fire9"], classifier=True)
    export_file("squeezenet1_1", squeezenet, alone)
    assert (made.classes, made.side) == (21, None)
    model = onnx.load(both)
    said = Metadata.from_properties({p.key: p.value for p in model.metadata_props}, "here")
    assert said is not None
    assert [layer.name for layer in said.layers] == ["fire5", "fire9"]
    assert [output.name for output in model.graph.output] == ["fire5", "fire9", "logits"]
    expected = np.asarray(Backbone.open(alone)(PIXELS))
    np.testing.assert_array_equal(np.asarray(Backbone.open(both)(PIXELS)), expected)
    cut_off = cut(load_model(both), ["fire9"])
    assert [output.name for output in cut_off.graph.output] == ["fire9"]
    assert not any(tensor.name.startswith("classifier") for tensor in cut_off.graph.initializer)
    np.testing.assert_array_equal(run(cut_off, PIXELS)["fire9"], expected)


def test_the_same_classifier_gives_the_same_bytes(resnet: Path, tmp_path: Path) -> None:
    made = [export_file("resnet18", resnet, tmp_path / f"{n}.onnx", classifier=True) for n in "ab"]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


def test_googlenets_auxiliary_heads_are_ignored(tmp_path: Path) -> None:
    auxiliary = {"aux1.fc2.weight": np.ones((4, 8), np.float32), "aux2.fc2.bias": np.ones(4, np.float32)}
    path = written(tmp_path / "w", "googlenet", head("googlenet", 4) | auxiliary)
    model = export("googlenet", path, classifier=True)
    assert [output.name for output in model.graph.output] == ["inception5b", "logits"]
    assert not any(tensor.name.startswith("aux") for tensor in model.graph.initializer)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, r"w: has no fc\.weight, so it has no classifier; leave out --classifier"),
        ({"fc.weight": np.ones((5, 512))}, r"has no fc\.bias, so it has no classifier"),
        ({"fc.weight": np.ones((5, 2048)), "fc.bias": np.ones(5)}, r"shape \(5, 2048\), not \(classes, 512\)"),
        ({"fc.weight": np.ones((5, 512)), "fc.bias": np.ones(6)}, r"fc\.bias has the shape \(6,\), not \(5,\)"),
        ({"fc.weight": np.ones((0, 512)), "fc.bias": np.ones(0)}, r"shape \(0, 512\), not \(classes, 512\)"),
        ({"fc.weight": np.ones(()), "fc.bias": np.ones(1)}, r"shape \(\), not \(classes, 512\)"),
        ({"fc.weight": np.full((5, 512), np.nan), "fc.bias": np.ones(5)}, r"fc\.weight has values that are not finite"),
    ],
)
def test_a_classifier_that_is_none_is_refused(arrays: Arrays, sentence: str, tmp_path: Path) -> None:
    path = written(tmp_path / "w", "resnet18", {name: values.astype(np.float32) for name, values in arrays.items()})
    export("resnet18", path)
    with pytest.raises(CheckpointError, match=sentence) as caught:
        export("resnet18", path, classifier=True)
    assert "\n" not in str(caught.value)


def test_weights_beyond_float32_are_refused(tmp_path: Path) -> None:
    arrays = weights("resnet18") | {"fc.weight": np.full((5, 512), 1e300), "fc.bias": np.ones(5)}
    path = files.write(tmp_path / "w", "safetensors", arrays)
    with pytest.raises(CheckpointError, match=r"fc\.weight has weights beyond float32"):
        export("resnet18", path, classifier=True)


def test_a_layer_missing_inside_a_classifier_is_named(tmp_path: Path) -> None:
    arrays = {"classifier.6.weight": np.ones((3, 4096), np.float32), "classifier.6.bias": np.ones(3, np.float32)}
    path = written(tmp_path / "w", "vgg11", arrays)
    with pytest.raises(CheckpointError, match=r"has no classifier\.0\.weight, so it has no classifier"):
        export("vgg11", path, classifier=True)


def test_a_checkpoint_that_ends_before_the_classifier_is_refused(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("resnet18", "layer3.1") | head("resnet18", 5))
    with pytest.raises(
        CheckpointError, match=r"stops at layer3\.1 \(layer4\.0\.conv1\.weight is not in it\), so it has"
    ):
        export("resnet18", path, classifier=True)


def test_the_command_and_the_script_keep_the_classifier(squeezenet: Path, tmp_path: Path) -> None:
    said = command("squeezenet1_1", "--weights", squeezenet, "--classifier", "-o", tmp_path / "a.onnx")
    assert "logits: 21 classes" in said
    assert "any batch and size" in said
    done = script("squeezenet", "squeezenet1_1", "--weights", squeezenet, "--classifier", "-o", tmp_path / "b.onnx")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "fire9 logits (21 classes)" in done.stderr
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_squeezenets_real_scores_equal_those_of_another_export(real_data: Path) -> None:
    models = real_data / "models"
    ours = export("squeezenet1_1", models / "squeezenet1_1.safetensors", classifier=True)
    other = onnxruntime.InferenceSession(models / "squeezenet1_1.onnx", providers=["CPUExecutionProvider"])
    for size in ((2, 224, 224), (1, 97, 131)):
        pixels = np.random.default_rng(size[1]).integers(0, 256, (*size, 3), np.uint8)
        planes = ((pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(0, 3, 1, 2)
        (expected,) = other.run(["logits"], {"image": planes.astype(np.float32)})
        found = run(ours, pixels)["logits"]
        assert found.shape == expected.shape == (size[0], 1000)
        assert np.abs(found - expected).max() <= 1e-5 * expected.max()


def test_a_real_partial_checkpoint_has_no_classifier(real_data: Path) -> None:
    with pytest.raises(CheckpointError, match=r"stops at layer3\.1 .* so it has no classifier"):
        export("resnet18", real_data / "models" / "resnet18-layer3.safetensors", classifier=True)
