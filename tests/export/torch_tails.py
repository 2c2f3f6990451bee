"""Small classifiers whose end does not merely pool: what Grad-CAM needs a gradient for."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Features, then a tail."""

    def __init__(self, features: nn.Module, tail: nn.Module) -> None:
        super().__init__()
        self.features, self.tail = features, tail

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.tail(self.features(x))
        return out


class Block(nn.Module):
    """A residual block with a stride and batch norms that do something."""

    def __init__(self, channels: int, wide: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, wide, 3, 2, 1), nn.Conv2d(wide, wide, 3, 1, 1)
        self.norm, self.short = nn.BatchNorm2d(wide), nn.Conv2d(channels, wide, 1, 2)
        nn.init.uniform_(self.norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        nn.init.normal_(self.norm.running_mean, 0, 0.3)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.second(torch.relu(self.first(x)))) + self.short(x))


def vgg_like() -> Network:
    """Two fully connected layers behind a maximum: one size of picture only."""
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, 1, 1), nn.ReLU())
    tail = nn.Sequential(
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12 * 8 * 8, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 7)
    )
    return Network(features, tail)


def residual() -> Network:
    torch.manual_seed(1)
    tail = nn.Sequential(Block(8, 12), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5))
    return Network(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU()), tail)


def activated() -> nn.Module:
    """Every kind of activation and of pooling, one after the other."""
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(6, 8, 3, padding=1), nn.Hardswish(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 8, 3, groups=4), nn.SiLU(),
        nn.AvgPool2d(2, 1, 1), nn.LeakyReLU(0.1), nn.GELU(), nn.ReLU6(), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def activated_network() -> Network:
    return Network(nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU()), activated())


def gridded() -> nn.Module:
    """Pools to a grid of 3 x 2 cells, whatever the size of the picture."""
    torch.manual_seed(3)
    return nn.Sequential(nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(), nn.Linear(36, 5))
