"""Checkpoints are compared with architectures, partial ones end somewhere, layers are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import weight_files as files
from random_weights import weights

from dff_onnx.backbone.metadata import Metadata
from dff_onnx.errors import CheckpointError, UsageError
from dff_onnx.export import export


def layers_of(architecture: str, path: Path, layers: Sequence[str] = ()) -> list[str]:
    model = export(architecture, path, layers)
    metadata = Metadata.from_properties({p.key: p.value for p in model.metadata_props}, "here")
    assert metadata is not None
    assert [output.name for output in model.graph.output] == [layer.name for layer in metadata.layers]
    return [layer.name for layer in metadata.layers]


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return files.write(folder / "squeezenet.pth", "zip", weights("squeezenet1_1"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ResNet-18 up to the end of its second stage, beside a classifier that has no business here."""
    arrays = weights("resnet18", "layer2.1") | {"fc.weight": np.ones((3, 512), np.float32)}
    return files.write(tmp_path_factory.mktemp("weights") / "part.safetensors", "safetensors", arrays_32(arrays))


def arrays_32(arrays: files.Arrays) -> files.Arrays:
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def test_by_default_the_deepest_layer_that_is_no_pool_is_taken(squeezenet: Path, resnet: Path, tmp_path: Path) -> None:
    assert layers_of("squeezenet1_1", squeezenet) == ["fire9"]
    assert layers_of("resnet18", resnet) == ["layer2.1"]
    vgg = files.write(tmp_path / "w", "legacy", weights("vgg11", "relu2_1"))
    assert layers_of("vgg11", vgg) == ["relu2_1"]


def test_layers_come_in_network_order_and_once(squeezenet: Path, resnet: Path) -> None:
    assert layers_of("squeezenet1_1", squeezenet, ["fire9", "pool1", "fire3", "fire9"]) == ["pool1", "fire3", "fire9"]
    assert layers_of("resnet18", resnet, ["layer2", "maxpool", "layer2.1", "layer1"]) == [
        "maxpool",
        "layer1.1",
        "layer2.1",
    ]


def test_asking_for_more_than_a_partial_checkpoint_has_says_where_it_ends(resnet: Path) -> None:
    message = r"part\.safetensors: stops at layer2\.1 \(layer3\.0\.conv1\.weight is not in it\), so it has no layer4\.1"
    with pytest.raises(CheckpointError, match=message):
        layers_of("resnet18", resnet, ["layer4"])


def test_conv5_4_is_explained(tmp_path: Path) -> None:
    path = files.write(tmp_path / "w", "zip", weights("vgg19", "relu1_1"))
    with pytest.raises(UsageError, match=r"hook at conv5_4 returns the values after the in-place ReLU.*is relu5_4"):
        layers_of("vgg19", path, ["conv5_4"])


def test_an_unknown_layer_is_refused_with_the_list(resnet: Path) -> None:
    with pytest.raises(UsageError, match=r"resnet18 has no layer 'fire9'; it has relu1, .*layer4 \(= layer4.1\)"):
        layers_of("resnet18", resnet, ["fire9"])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (
            "squeezenet1_0",
            r"features\.0\.weight has the shape \(64, 3, 3, 3\), not \(96, 3, 7, 7\); it fits squeezenet1_1",
        ),
        ("vgg19", r"is no checkpoint of vgg19: it has no features\.2\.weight, though it has 'features\.\w"),
        ("resnet50", r"is no checkpoint of resnet50: it has no conv1\.weight; it fits squeezenet1_1"),
    ],
)
def test_another_architecture_is_refused_by_its_first_wrong_parameter(
    squeezenet: Path, architecture: str, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        layers_of(architecture, squeezenet)


@pytest.mark.parametrize(
    ("file", "asked", "message"),
    [
        ("resnet34", "resnet18", r"it has the parameter 'layer1\.2\.[a-z0-9.]+', which resnet18 has not"),
        ("resnet18", "resnet34", r"it has no layer1\.2\.conv1\.weight, though it has layer2\.0\.conv1\.weight"),
        (
            "vgg13",
            "vgg11",
            r"it has no features\.3\.weight, though it has 'features\.\d+\.weight', which vgg11 has not",
        ),
        ("vgg11_bn", "vgg11", r"features\.3\.weight"),
        ("vgg11", "vgg11_bn", r"it has no features\.1\.weight, though it has features\.8\.weight"),
    ],
)
def test_a_relative_is_refused_and_recognised(tmp_path: Path, file: str, asked: str, message: str) -> None:
    shapes_only = {name: np.zeros(array.shape, np.float16) for name, array in weights(file).items()}
    path = files.write(tmp_path / "w", "legacy", shapes_only)
    with pytest.raises(CheckpointError, match=message + f".*; it fits {file}"):
        layers_of(asked, path)


def test_a_gap_in_the_middle_is_no_end(tmp_path: Path) -> None:
    arrays = weights("squeezenet1_1")
    del arrays["features.6.expand1x1.bias"]
    with pytest.raises(
        CheckpointError, match=r"it has no features\.6\.expand1x1\.bias, though it has features\.6\.exp"
    ):
        layers_of("squeezenet1_1", files.write(tmp_path / "w", "zip", arrays))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    arrays = weights("vgg11_bn", "relu1_1")
    arrays["features.1.bias"][3] = value
    with pytest.raises(CheckpointError, match=r"features\.(1\.bias|0) has (values that are not finite|weights beyond)"):
        layers_of("vgg11_bn", files.write(tmp_path / "w", "zip", arrays))


def test_a_negative_variance_is_refused(tmp_path: Path) -> None:
    arrays = weights("vgg11_bn", "relu1_1")
    arrays["features.1.running_var"][0] = -1
    with pytest.raises(CheckpointError, match=r"features\.1\.running_var is negative"):
        layers_of("vgg11_bn", files.write(tmp_path / "w", "zip", arrays))
