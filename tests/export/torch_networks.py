"""torchvision's networks in plain PyTorch: its module names, in-place ReLUs, ceil_mode, and place of the stride."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

VGG = {
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
RESNET: dict[str, tuple[list[int], int, int]] = {
    "resnet50": ([3, 4, 6, 3], 1, 64),
    "resnet101": ([3, 4, 23, 3], 1, 64),
    "resnet152": ([3, 8, 36, 3], 1, 64),
    "resnext50_32x4d": ([3, 4, 6, 3], 32, 4),
    "resnext101_32x8d": ([3, 4, 23, 3], 32, 8),
    "resnext101_64x4d": ([3, 4, 23, 3], 64, 4),
    "wide_resnet50_2": ([3, 4, 6, 3], 1, 128),
    "wide_resnet101_2": ([3, 4, 23, 3], 1, 128),
}
BASIC = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3]}


class Vgg(nn.Module):
    def __init__(self, depth: int, normed: bool, classes: int = 1000) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        channels = 3
        for item in VGG[depth].split():
            if item == "M":
                modules.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            modules.append(nn.Conv2d(channels, int(item), kernel_size=3, padding=1))
            modules += [nn.BatchNorm2d(int(item))] if normed else []
            modules.append(nn.ReLU(inplace=True))
            channels = int(item)
        self.features = nn.Sequential(*modules)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


class BasicBlock(nn.Module):
    def __init__(self, inside: int, planes: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    def __init__(
        self, inside: int, planes: int, stride: int, downsample: nn.Module | None, groups: int, base_width: int
    ) -> None:
        super().__init__()
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, name: str, classes: int = 1000) -> None:
        super().__init__()
        blocks, groups, base_width = (BASIC[name], 1, 64) if name in BASIC else RESNET[name]
        expansion = 1 if name in BASIC else 4
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inside = 64
        for stage, count in enumerate(blocks):
            planes, made = 64 * 2**stage, list[nn.Module]()
            for number in range(count):
                stride = 2 if stage and not number else 1
                downsample = None
                if stride != 1 or inside != planes * expansion:
                    downsample = nn.Sequential(
                        nn.Conv2d(inside, planes * expansion, 1, stride, bias=False), nn.BatchNorm2d(planes * expansion)
                    )
                if name in BASIC:
                    made.append(BasicBlock(inside, planes, stride, downsample))
                else:
                    made.append(Bottleneck(inside, planes, stride, downsample, groups, base_width))
                inside = planes * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * expansion, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[operator]


class Fire(nn.Module):
    def __init__(self, inside: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inside, squeeze, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1
        )


def pool() -> nn.Module:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


class SqueezeNet(nn.Module):
    def __init__(self, version: str, classes: int = 1000) -> None:
        super().__init__()
        if version == "1_0":
            self.features = nn.Sequential(
                nn.Conv2d(3, 96, kernel_size=7, stride=2), nn.ReLU(inplace=True), pool(),
                Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool(),
                Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool(),
                Fire(512, 64, 256),
            )  # fmt: skip
        else:
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=3, stride=2), nn.ReLU(inplace=True), pool(),
                Fire(64, 16, 64), Fire(128, 16, 64), pool(),
                Fire(128, 32, 128), Fire(256, 32, 128), pool(),
                Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
            )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(512, classes, kernel_size=1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


def make(name: str, classes: int = 1000) -> nn.Module:
    if name.startswith("vgg"):
        return Vgg(int(name[3:5]), name.endswith("_bn"), classes)
    if name.startswith("squeezenet"):
        return SqueezeNet(name.removeprefix("squeezenet"), classes)
    return ResNet(name, classes)


def randomised(name: str, seed: int = 0) -> nn.Module:
    """Random weights of a size that keeps activations alive, and batch norms that do something."""
    torch.manual_seed(seed)
    network = make(name, classes=7).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.2)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


def values_at(network: nn.Module, modules: dict[str, str], pixels: Any) -> dict[str, Any]:
    """What hooks at these modules see, copied at once: a later in-place ReLU would change it.

    Computed in float64, so that only one side rounds.
    """
    network = copy.deepcopy(network).double()
    found: OrderedDict[str, Any] = OrderedDict()

    def keep(layer: str) -> Any:
        return lambda _module, _inputs, output: found.__setitem__(layer, output.detach().clone().numpy())

    handles = [network.get_submodule(module).register_forward_hook(keep(layer)) for layer, module in modules.items()]
    try:
        with torch.no_grad():
            network(torch.from_numpy(pixels).double())
    finally:
        for handle in handles:
            handle.remove()
    return found
