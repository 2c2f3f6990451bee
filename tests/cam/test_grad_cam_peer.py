"""Maps of a network in ONNX files are those that the PyPI package grad-cam makes of its PyTorch twin."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dff_onnx.backbone.session import Backbone
from dff_onnx.backbone.tail import Tail
from dff_onnx.backbone.tail_gradient import TailGradient
from dff_onnx.cam.ablation import ablation_weights
from dff_onnx.cam.eigen import eigen_map
from dff_onnx.cam.gradient import gradient_map, gradient_weights, head_weights
from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("grad_cam_here")]

# Layers, and the module of torchvision's network whose output each is.
MODULES = {"fire5": "features.7", "fire9": "features.12"}
SHAPE = (2, 96, 112, 3)
# Of the random weights: their scores are positive, and their maps have both signs before they are rectified.
CLASSES, ABLATED = np.array([2, 5]), np.array([3])
# Largest difference over the largest value, float32 on both sides. Ablation-CAM takes small parts of large scores.
TOLERANCE, OF_ABLATION = 1e-4, 3e-4


@dataclass(frozen=True)
class Twins:
    """One network of random weights, as a PyTorch module and as ONNX files."""

    module: Any
    file: Path
    gradient: Path


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, grad_cam_here: None) -> Twins:  # noqa: ARG001
    import torch
    from torch_networks import randomised

    from dff_onnx.export import export_file
    from dff_onnx.export.tail_gradient import export_tail_gradient

    folder, module = tmp_path_factory.mktemp("twins"), randomised("squeezenet1_1")
    torch.save(module.state_dict(), folder / "w.pth")
    made = export_file("squeezenet1_1", folder / "w.pth", folder / "net.onnx", list(MODULES), classifier=True)
    return Twins(module, made.path, export_tail_gradient(made.path, "fire5", folder / "gradient.onnx").path)


@pytest.fixture
def peer(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001  # with it torchvision can be imported
    """The package, but its maps left as they are: stretching each to 0..1, as it does, would hide a wrong factor."""
    import pytorch_grad_cam
    import pytorch_grad_cam.base_cam

    monkeypatch.setattr(pytorch_grad_cam.base_cam, "scale_cam_image", lambda cam, _size=None: cam)
    return pytorch_grad_cam


def pictures(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def planes(pixels: Any) -> Any:
    """The pictures as torchvision's networks take them."""
    import torch

    normalised = (pixels / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return torch.from_numpy(normalised.transpose(0, 3, 1, 2).astype(np.float32))


def theirs(peer: Any, method: str, twins: Twins, layer: str, pixels: Any, classes: Any) -> Any:
    targets = [peer.utils.model_targets.ClassifierOutputTarget(int(number)) for number in classes]
    with getattr(peer, method)(twins.module, [twins.module.get_submodule(MODULES[layer])]) as cam:
        return cam(planes(pixels), targets)


def assert_same_maps(found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert found.shape == expected.shape and (largest > 0).all()
    assert (np.abs(found - expected) / largest).max() <= tolerance


def test_grad_cam_by_the_file_of_a_gradient_is_theirs(twins: Twins, peer: Any) -> None:
    pixels = pictures(*SHAPE)
    features = Backbone.open(twins.file, "fire5", device="cpu")(pixels)
    gradients = TailGradient.open(twins.gradient, device="cpu")(features, CLASSES)
    found = gradient_map(features.transpose(0, 2, 3, 1), gradient_weights(gradients.transpose(0, 2, 3, 1)))
    expected = theirs(peer, "GradCAM", twins, "fire5", pixels, CLASSES)
    assert (expected == 0).any(axis=(1, 2)).all()
    assert_same_maps(found, expected)


def test_grad_cam_by_the_weights_of_a_head_is_theirs(twins: Twins, peer: Any) -> None:
    pixels, backbone = pictures(*SHAPE), Backbone.open(twins.file, "fire9", device="cpu")
    A = backbone(pixels).transpose(0, 2, 3, 1)
    assert backbone.head is not None and backbone.head.rectified
    found = gradient_map(A, head_weights(A, backbone.head, CLASSES[:, None]))[:, 0]
    expected = theirs(peer, "GradCAM", twins, "fire9", pixels, CLASSES)
    assert (expected == 0).any(axis=(1, 2)).all()
    assert_same_maps(found, expected)


def test_ablation_cam_by_the_tail_alone_is_theirs_by_the_whole_network(twins: Twins, peer: Any) -> None:
    # They run the whole network for each of 256 channels: one small picture will do.
    pixels = pictures(1, 64, 64, 3)
    A = Backbone.open(twins.file, "fire5", device="cpu")(pixels).transpose(0, 2, 3, 1)
    weights = ablation_weights(A, Tail.open(twins.file, "fire5", device="cpu"), ABLATED[:, None])
    expected = theirs(peer, "AblationCAM", twins, "fire5", pixels, ABLATED)
    assert (expected == 0).any()
    assert_same_maps(gradient_map(A, weights)[:, 0], expected, OF_ABLATION)


@pytest.mark.parametrize("layer", MODULES)
def test_eigen_cam_is_theirs_once_the_activations_are_centred(twins: Twins, peer: Any, layer: str) -> None:
    """They subtract each channel's mean first. The paper does not, nor do we: of `A >= 0` the map is then DFF's."""
    pixels = pictures(*SHAPE)
    A = Backbone.open(twins.file, layer, device="cpu")(pixels).transpose(0, 2, 3, 1)
    found = eigen_map(A - A.mean(axis=(1, 2), keepdims=True))
    with peer.EigenCAM(twins.module, [twins.module.get_submodule(MODULES[layer])]) as cam:
        cam.activations_and_grads(planes(pixels))
        seen = cam.activations_and_grads.activations[0].numpy()
        # Before they cut away what is negative: a centred map sums to zero, so that its sign is chance.
        expected = cam.get_cam_image(None, None, None, seen, None, False)
    assert_same_maps(found * np.sign((found * expected).sum(axis=(1, 2), keepdims=True)), expected)
    assert eigen_map(A).min() >= 0 > expected.min()
