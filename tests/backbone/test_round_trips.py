"""Export, cut, layers and run agree on names, strides and channels, for every architecture that can be exported."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import candidate_layers, list_layers, metadata_of
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.export import export_file
from dff_onnx.export.architectures import network

sys.path.insert(0, str(Path(__file__).parent.parent / "export"))
import weight_files as files
from random_weights import weights

QUICK = ("vgg11", "resnet18", "squeezenet1_1", "alexnet", "googlenet")
SLOW = ("vgg16_bn", "vgg19", "resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "squeezenet1_0")
SIZES = ((2, 96, 96), (1, 97, 131), (3, 128, 80))


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_names_strides_and_channels_agree(name: str, tmp_path: Path) -> None:
    plan = network(name)
    asked = [plan.layers[len(plan.layers) // 2].name, plan.layers[-1].name]
    exported = export_file(name, files.write(tmp_path / "w", "safetensors", weights(name)), tmp_path / "a.onnx", asked)
    onnx.checker.check_model(onnx.load(exported.path), full_check=True)
    listed = {c.name: c for c in list_layers(load_model(exported.path).model, exported.path)}
    for layer in plan.layers:
        if layer.name in listed:
            here = listed[layer.name]
            assert (here.channels, here.stride, here.nonnegative) == (layer.channels, layer.stride, layer.nonnegative)
    for wanted in exported.metadata.layers:
        whole = Backbone.open(exported.path, wanted.name, device="cpu")
        part = cut(load_model(exported.path), [wanted.name])
        onnx.checker.check_model(part, full_check=True)
        (tmp_path / "b.onnx").write_bytes(part.SerializeToString())
        said = metadata_of(part, tmp_path)
        assert said is not None and said.layers == (wanted,)
        alone = Backbone.open(tmp_path / "b.onnx", device="cpu")
        assert alone.fingerprint.layer == wanted.name and alone.nonnegative
        for n, height, width in SIZES:
            pixels = np.random.default_rng(n).integers(0, 256, (n, height, width, 3), np.uint8)
            values = whole(pixels)
            assert values.shape[:2] == (n, wanted.channels)
            # Borders and ceilings cost or give a few cells.
            assert (
                abs(values.shape[2] - height / wanted.stride) < 3 and abs(values.shape[3] - width / wanted.stride) < 3
            )
            np.testing.assert_array_equal(alone(pixels), values)


def test_layers_worth_comparing_are_the_last_wide_ones_of_each_stride(tmp_path: Path, real_data: Path) -> None:
    made = export_file("resnet18", files.write(tmp_path / "w", "safetensors", weights("resnet18")), tmp_path / "a.onnx")
    model = load_model(made.path).model
    assert [c.name for c in candidate_layers(model, made.path)] == [
        "relu1", "layer1.1", "layer2.1", "layer3.1", "layer4.1",
    ]  # fmt: skip
    assert [c.name for c in candidate_layers(model, made.path, per_stride=2)][-4:] == [
        "layer3.1.relu1", "layer3.1", "layer4.1.relu1", "layer4.1",
    ]  # fmt: skip
    path = real_data / "models" / "squeezenet1_1.onnx"  # its last layer is pooled to the answer: class maps
    assert candidate_layers(load_model(path).model, path)[-1].name == "/fires.7/Concat_output_0"
