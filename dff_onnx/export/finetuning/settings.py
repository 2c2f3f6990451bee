"""What is trained, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dff_onnx.errors import UsageError
from dff_onnx.export.gap import CHANNELS
from dff_onnx.export.network import Pool
from dff_onnx.records import Preprocessing


@dataclass(frozen=True, slots=True)
class Finetuning:
    """How a network learns classes; `gap.gap_network` says what it looks like.

    Attributes:
        architecture, layer: the network, and the last layer that is kept.
        channels, pool: of the new convolution, and over all places.
        everything: train the layers that were kept, too, at a tenth of the rate; else they stay as they are, and their
            features are computed once.
        size: pixels of the square input.
        crops: views of each photograph that is learned from; the first is the whole, every second one is mirrored.
        held_out: share of each class's photographs kept to measure the accuracy, evenly over the sorted folder.
        epochs, batch, rate: of AdamW with a one-cycle schedule; an epoch shows one view of every photograph, and `rate`
            is its maximum.
        seed: of the crops, the new layers, the order and the jitter.
        threads: of PyTorch; the last bits depend on it.
        preprocessing: what the network was trained on.

    >>> Finetuning("vgg16", "relu5_3").channels
    1024
    """

    architecture: str
    layer: str
    channels: int = CHANNELS
    pool: Pool = "avg"
    everything: bool = False
    size: int = 224
    crops: int = 4
    held_out: float = 0.25
    epochs: int = 12
    batch: int = 16
    rate: float = 1e-3
    seed: int = 0
    threads: int = 2
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    def __post_init__(self) -> None:
        for name in ("crops", "epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: at least 1 is needed, found {getattr(self, name)}")
        if self.size < 64:
            raise UsageError(f"size: at least 64 pixels are needed, found {self.size}")
        for name in ("held_out", "rate"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name}: a figure between 0 and 1 is needed, found {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return asdict(self) | {"preprocessing": self.preprocessing.to_dict()}
