"""Plans run by PyTorch compute what torchvision's networks compute, classifiers included; so do the exported files."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_torch_parity import PLANES, assert_equal_activations, outputs

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export import export
from dff_onnx.export.architectures import classified, network
from dff_onnx.export.torch_runner import normalised, run
from dff_onnx.records import Preprocessing

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("torch_here")]

# The layer in front of each head, and the module whose output it is.
CASES = {
    "resnet18": {"layer4.1": "layer4"},
    "googlenet": {"inception5b": "inception5b"},
    "squeezenet1_0": {"fire9": "features.12"},
    "alexnet": {"relu5": "features.11"},
    "vgg11": {"relu5_2": "features.19"},
}


@pytest.fixture
def nets(torch_here: None) -> ModuleType:  # noqa: ARG001  # imported only where PyTorch is
    return importlib.import_module("torch_networks")


@pytest.mark.parametrize("name", CASES)
def test_a_whole_random_network_computes_the_same(tmp_path: Path, nets: ModuleType, name: str) -> None:
    import torch

    reference, modules = nets.randomised(name), CASES[name] | {"logits": ""}
    torch.save(reference.state_dict(), tmp_path / "w.pth")
    model = export(name, tmp_path / "w.pth", (), PLANES, classifier=True)
    whole = classified(network(name), 7)
    parameters = dict(reference.state_dict())
    sizes = [(2, 224, 224)] if whole.side else [(2, 224, 224), (1, 97, 130)]
    for size in sizes:
        image = np.random.default_rng(size[1]).normal(size=(size[0], 3, *size[1:])).astype(np.float32)
        expected = nets.values_at(reference, modules, image)
        assert expected["logits"].shape == (size[0], 7)
        assert_equal_activations(outputs(model, image), expected)
        with torch.no_grad():
            found = run(whole.steps, parameters, {INPUT: torch.from_numpy(image)}, list(modules))
        assert_equal_activations({layer: x.numpy() for layer, x in zip(modules, found, strict=True)}, expected)


def test_in_training_batch_norms_use_and_gather_the_batchs_own_figures(nets: ModuleType) -> None:
    import torch

    reference = nets.randomised("resnet18")
    plan = classified(network("resnet18"), 7)
    parameters = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 64, 64)).astype(np.float32))
    with torch.no_grad():
        (found,) = run(plan.steps, parameters, {INPUT: image}, ["logits"], training=True)
        expected = reference.train()(image)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(parameters["bn1.running_var"], reference.state_dict()["bn1.running_var"])


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_pixels_are_normalised_as_in_the_file(channels: str) -> None:
    import torch

    said = Preprocessing(channels=channels, mean=(103.9, 116.8, 123.7), std=(1.0, 2.0, 3.0), scale=0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    ordered = pixels[..., ::-1] if channels == "BGR" else pixels
    expected = ((ordered * said.scale - said.mean) / said.std).transpose(0, 3, 1, 2)
    found = normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), said)
    assert np.abs(found.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
