"""Exported networks compute what PyTorch computes, from files that PyTorch wrote."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError
from dff_onnx.export import ARCHITECTURES, export, open_checkpoint
from dff_onnx.export.architectures import network
from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_here")]

PLANES = Preprocessing(layout="NCHW", dtype="float32")
# Largest difference over the largest value; float32 rounding accumulates to about 1e-6.
TOLERANCE = 2e-6

# Layers, and the module of torchvision's network whose output each is.
CASES: dict[str, dict[str, str]] = {
    "vgg19": {"relu1_1": "features.1", "pool3": "features.18", "relu5_4": "features.35", "pool5": "features.36"},
    "vgg16_bn": {"relu1_2": "features.5", "relu4_3": "features.32", "relu5_3": "features.42", "pool5": "features.43"},
    "vgg11": {"relu3_2": "features.9", "relu5_2": "features.19"},
    "vgg13_bn": {"pool1": "features.6", "relu5_2": "features.33"},
    "resnet34": {"relu1": "relu", "maxpool": "maxpool", "layer1.2": "layer1", "layer4.2": "layer4"},
    "resnet101": {"layer1.0": "layer1.0", "layer3.22": "layer3", "layer4.2": "layer4"},
    "resnext50_32x4d": {"layer2.3": "layer2", "layer4.2": "layer4.2"},
    "wide_resnet50_2": {"layer3.5": "layer3.5", "layer4.2": "layer4"},
    "squeezenet1_0": {"relu1": "features.1", "pool4": "features.6", "pool8": "features.11", "fire9": "features.12"},
    "squeezenet1_1": {"pool1": "features.2", "fire2": "features.3", "pool5": "features.8", "fire9": "features.12"},
    "alexnet": {"relu1": "features.1", "pool2": "features.5", "relu5": "features.11", "pool5": "features.12"},
    "googlenet": {
        **{"relu1": "conv1", "maxpool1": "maxpool1", "relu3": "conv3", "inception3a": "inception3a"},
        **{"maxpool3": "maxpool3", "inception4e": "inception4e", "maxpool4": "maxpool4", "inception5b": "inception5b"},
    },
}
SIZES = ((2, 64, 96), (1, 97, 65), (3, 75, 50))


@pytest.fixture
def nets(torch_here: None) -> ModuleType:  # noqa: ARG001  # imported only where PyTorch is
    return importlib.import_module("torch_networks")


def outputs(model: Any, image: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": image}), strict=True))


def assert_equal_activations(found: dict[str, NDArray[np.float32]], expected: dict[str, NDArray[np.float32]]) -> None:
    assert found.keys() == expected.keys()
    for layer, values in expected.items():
        assert found[layer].shape == values.shape
        assert np.abs(values).max() > 0.01
        assert np.abs(found[layer] - values).max() <= TOLERANCE * np.abs(values).max(), layer


@pytest.mark.parametrize("name", CASES)
def test_a_random_network_computes_the_same(tmp_path: Path, nets: ModuleType, name: str) -> None:
    import torch

    reference, modules = nets.randomised(name), CASES[name]
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    model = export(name, tmp_path / "w.pth", list(modules), PLANES)
    for n, height, width in SIZES[: 2 if name.startswith(("vgg", "alexnet")) else 3]:
        image = np.random.default_rng(height).normal(size=(n, 3, height, width)).astype(np.float32)
        assert_equal_activations(outputs(model, image), nets.values_at(reference, modules, image))


REAL = {
    ("squeezenet1_1", "squeezenet1_1"): {"fire5": "features.7", "fire9": "features.12"},
    ("resnet18", "resnet18-layer3"): {"layer1.1": "layer1", "layer3.1": "layer3"},
    ("vgg19", "vgg19-relu3_4"): {"relu2_2": "features.8", "relu3_4": "features.17"},
}


@pytest.mark.parametrize(("name", "file"), REAL)
def test_real_weights_compute_the_same_from_pixels_and_from_planes(
    nets: ModuleType, real_data: Path, name: str, file: str
) -> None:
    import torch

    modules, path = REAL[name, file], real_data / "models" / f"{file}.safetensors"
    reference = nets.make(name).eval()
    with open_checkpoint(path) as checkpoint:
        arrays = {parameter: torch.from_numpy(checkpoint.array(parameter)) for parameter in checkpoint.shapes}
    left_out = reference.load_state_dict(arrays, strict=False)
    assert not left_out.unexpected_keys
    from_pixels, from_planes = export(name, path, list(modules)), export(name, path, list(modules), PLANES)
    for n, height, width in ((2, 224, 224), (3, 97, 131), (1, 65, 250)):
        pixels = np.random.default_rng(n).integers(0, 256, (n, height, width, 3), np.uint8)
        planes = ((pixels / 255 - IMAGENET_MEAN) / IMAGENET_STD).transpose(0, 3, 1, 2).astype(np.float32)
        expected = nets.values_at(reference, modules, planes)
        assert_equal_activations(outputs(from_planes, planes), expected)
        assert_equal_activations(outputs(from_pixels, pixels), expected)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_parameter_of_every_architecture_has_the_same_name_and_shape(nets: ModuleType, name: str) -> None:
    import torch

    with torch.device("meta"):
        reference = nets.make(name).state_dict()
    heads = ("classifier.", "fc.", "aux1.", "aux2.")
    trunk = {
        key: tuple(value.shape)
        for key, value in reference.items()
        if not key.startswith(heads) and not key.endswith("num_batches_tracked")
    }
    assert network(name).expected == trunk


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_every_kind_come_back_bit_by_bit(tmp_path: Path, legacy: bool) -> None:
    import torch

    whole = torch.randn(40)
    tensors = {
        "float32": torch.randn(3, 4),
        "float64": torch.randn(3, 4).double(),
        "float16": torch.randn(3, 4).half(),
        "bfloat16": torch.randn(3, 4).bfloat16(),
        "transposed": torch.randn(3, 4).T,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "view": whole[3:20:2],
        "shared": whole.view(5, 8)[1:3, 2:7],
        "expanded": torch.randn(3, 1).expand(3, 4),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
    }
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in tensors.items()}, "lr": 0.1}
    torch.save(wrapped, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with open_checkpoint(tmp_path / "w.pth") as checkpoint:
        assert checkpoint.shapes.keys() == tensors.keys()
        for name, tensor in tensors.items():
            expected = tensor.detach()
            expected = expected.float() if expected.dtype == torch.bfloat16 else expected
            found = checkpoint.array(name)
            assert found.dtype == expected.numpy().dtype
            np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("legacy", [False, True])
def test_a_training_checkpoint_with_its_optimizer_exports(tmp_path: Path, nets: ModuleType, legacy: bool) -> None:
    import argparse

    import torch

    reference = nets.randomised("squeezenet1_1")
    optimizer = torch.optim.AdamW(reference.parameters())
    reference(torch.randn(1, 3, 64, 64)).sum().backward()
    optimizer.step()
    saved = {
        "model": torch.nn.DataParallel(reference).state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), shape=torch.Size([1, 2])),
        "epoch": 4,
    }
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    found = outputs(export("squeezenet1_1", tmp_path / "w.pth", (), PLANES), image)
    assert_equal_activations(found, nets.values_at(reference, {"fire9": "features.12"}, image))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_other_precision_export_exactly(tmp_path: Path, nets: ModuleType, dtype: str) -> None:
    import torch

    reference = nets.randomised("squeezenet1_1").to(getattr(torch, dtype))
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    found = outputs(export("squeezenet1_1", tmp_path / "w.pth", (), PLANES), image)
    assert_equal_activations(found, nets.values_at(reference.float(), {"fire9": "features.12"}, image))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_network_is_refused(tmp_path: Path, nets: ModuleType, legacy: bool) -> None:
    import torch

    torch.save(nets.make("squeezenet1_1"), tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"save its state_dict\(\) instead"):
        export("squeezenet1_1", tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
def test_a_torchscript_file_is_refused(tmp_path: Path) -> None:
    import torch

    traced = torch.jit.trace(torch.nn.Conv2d(3, 4, 1), torch.randn(1, 3, 2, 2))  # type: ignore[no-untyped-call]
    traced.save(str(tmp_path / "w.pt"))
    with pytest.raises(CheckpointError, match="TorchScript"):
        export("squeezenet1_1", tmp_path / "w.pt")
