"""Networks of one's own, as users have them: what the exporter of PyTorch modules must cope with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Shared(nn.Module):
    """One ReLU, used twice, in place; a tail that takes one size of picture only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.tail = nn.Linear(12 * 16 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.second(self.relu(self.first(x))))
        out: Tensor = self.tail(x.flatten(1))
        return out


class Residual(nn.Module):
    """The sum is made in place on the convolution's output."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        out: Tensor = self.conv(x)
        out += x
        return torch.relu_(out)


class ChannelsLast(nn.Module):
    """A layer whose channels lie last, one that gives two tensors, and one that nothing passes through."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.pair, self.unused = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8), Pair(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(self.stem(x).permute(0, 2, 3, 1))
        out: Tensor = self.pair(rows)[0]
        return out


class Gridded(nn.Module):
    """Pools to a grid of four cells a side, whatever the size of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool, self.last = nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d((4, 4)), nn.Conv2d(8, 9, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.pool(torch.relu(self.stem(x)))).relu()
        return out


class NotFinite(nn.Module):
    """The logarithm of what is negative in half of the places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.end = nn.Conv2d(3, 8, 4, 4), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.end(self.stem(x).log())
        return out


def deep() -> nn.Module:
    """Stride 64."""
    return nn.Sequential(*(nn.Conv2d(3 if i == 0 else 8, 8, 3, 2, 1) for i in range(6)))


three = 3


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def broken() -> nn.Module:
    raise RuntimeError("no such luck")


def number() -> int:
    return 3
