"""The plans of the networks: published parameter counts, names of layers, strides, channels."""

from __future__ import annotations

import math

import pytest

from dff_onnx.backbone.metadata import Layer
from dff_onnx.errors import UsageError
from dff_onnx.export import ARCHITECTURES
from dff_onnx.export.architectures import network

# Parameters of the whole network with 1000 classes, as torchvision's pages of its models list them.
PUBLISHED = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "alexnet": 61_100_840,
    "googlenet": 6_624_904,
}


def head(name: str) -> int:
    if name.startswith(("vgg", "alexnet")):
        cells = 256 * 36 if name == "alexnet" else 512 * 49
        return sum(inside * outside + outside for inside, outside in ((cells, 4096), (4096, 4096), (4096, 1000)))
    narrow = name.startswith("squeezenet") or name in ("resnet18", "resnet34")
    channels = 512 if narrow else 1024 if name == "googlenet" else 2048
    return channels * 1000 + 1000


def test_every_architecture_has_a_published_count() -> None:
    assert PUBLISHED.keys() == set(ARCHITECTURES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_parameters_are_as_many_as_published(name: str) -> None:
    trained = {k: shape for k, shape in network(name).expected.items() if ".running_" not in k}
    assert sum(math.prod(shape) for shape in trained.values()) + head(name) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "layer", "stride", "channels"),
    [
        ("vgg19", "relu5_4", 16, 512),
        ("vgg16_bn", "relu5_3", 16, 512),
        ("vgg11", "pool5", 32, 512),
        ("resnet18", "layer4.1", 32, 512),
        ("resnet101", "layer3.22", 16, 1024),
        ("wide_resnet50_2", "layer4.2", 32, 2048),
        ("squeezenet1_0", "fire9", 16, 512),
        ("squeezenet1_1", "fire2", 4, 128),
        ("alexnet", "relu5", 16, 256),
        ("googlenet", "inception4a", 16, 512),
        ("googlenet", "inception5b", 32, 1024),
    ],
)
def test_a_layer_knows_its_stride_and_channels(name: str, layer: str, stride: int, channels: int) -> None:
    assert Layer(layer, stride, channels, nonnegative=True) in network(name).layers


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_is_nonnegative_and_named_once(name: str) -> None:
    layers = network(name).layers
    assert all(layer.nonnegative for layer in layers)
    assert len({layer.name for layer in layers}) == len(layers)


def test_a_stage_is_another_name_of_its_last_block() -> None:
    expected = {"layer1": "layer1.2", "layer2": "layer2.3", "layer3": "layer3.22", "layer4": "layer4.2"}
    assert network("resnet101").aliases == expected


def test_an_unknown_architecture_is_refused_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'densenet121' is no architecture .* vgg11, .*squeezenet1_1"):
        network("densenet121")
