"""What is distilled from what, and how."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dff_onnx.errors import UsageError
from dff_onnx.export.compact import NAMES


@dataclass(frozen=True, slots=True)
class TeacherAt:
    """A teacher: an ONNX backbone, a layer, and the size at which it sees the crop.

    Attributes:
        path: the ONNX file.
        layer: the tensor; None for what the file says.
        size: pixels of the square.
    """

    path: Path
    layer: str | None
    size: int

    @classmethod
    def parse(cls, text: str, size: int) -> TeacherAt:
        """From `FILE[:LAYER][@SIZE]`; the size is `size` where none is said.

        >>> at = TeacherAt.parse("squeezenet.onnx:fire9@448", 224)
        >>> str(at.path), at.layer, at.size
        ('squeezenet.onnx', 'fire9', 448)
        """
        name, at, pixels = text.rpartition("@")
        if not at or not pixels.isdecimal():
            name, pixels = text, str(size)
        path, colon, layer = name.rpartition(":")
        if not colon or Path(name).is_file():
            path, layer = name, ""
        return cls(Path(path), layer or None, int(pixels))

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it: the file by its name alone."""
        return {"file": self.path.name, "layer": self.layer, "size": self.size}


@dataclass(frozen=True, slots=True)
class Distillation:
    """How a student is made.

    At every place the student learns directions, each teacher's strongest channels scaled to length 1, times a length,
    the geometric mean of the energy teachers': *what* it sees comes from the former, *how much* from the latter.
    Averaged over places, features that were sparse are no longer; the weakest answers are cut off again.

    Attributes:
        teachers: whose channels are learned, equally many of each.
        energy: teachers of which the student only learns how strongly they answer; by default `teachers`.
        student: `compact`, or `compact_bn` to train from scratch.
        channels: of the student's features, a multiple of the number of teachers; dead ones are pruned afterwards.
        sparsity: share of zeros in what is learned. ResNet's own features have 0.8, SqueezeNet's 0.9.
        size: pixels of the student's square input.
        crops: of each photograph; the first is the whole picture.
        held_out: photographs kept for validation, evenly over the sorted folder.
        epochs, batch, rate: of AdamW with a one-cycle schedule; `rate` is its maximum.
        seed: of the crops, the initial weights, the order and the jitter.
        threads: of PyTorch; the last bits depend on it.
        bfloat16: whether to multiply in bfloat16; nearly twice as fast where the processor has it.
    """

    teachers: tuple[TeacherAt, ...]
    energy: tuple[TeacherAt, ...] = ()
    student: str = "compact"
    channels: int = 384
    sparsity: float = 0.8
    size: int = 224
    crops: int = 8
    held_out: int = 100
    epochs: int = 12
    batch: int = 32
    rate: float = 1e-3
    seed: int = 0
    threads: int = 2
    bfloat16: bool = False

    def __post_init__(self) -> None:
        if not self.teachers:
            raise UsageError("teacher: at least one is needed")
        if self.channels % len(self.teachers):
            raise UsageError(f"channels: {self.channels} cannot be shared evenly by {len(self.teachers)} teachers")
        if self.student not in NAMES:
            raise UsageError(f"student: {self.student!r} is not one of {', '.join(NAMES)}")
        for name in ("channels", "crops", "held_out", "epochs", "batch", "threads"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: at least 1 is needed, found {getattr(self, name)}")
        for at in (*self.teachers, *self.energy):
            if at.size < self.size:
                raise UsageError(f"{at.path}: sees {at.size} pixels, fewer than the student's {self.size}")
        if self.size % 32 or self.size < 64:
            raise UsageError(f"size: a multiple of 32 from 64 on is needed, found {self.size}")
        if not 0 <= self.sparsity < 1:
            raise UsageError(f"sparsity: a figure from 0 to below 1 is needed, found {self.sparsity}")
        if not 0 < self.rate < 1:
            raise UsageError(f"rate: a figure between 0 and 1 is needed, found {self.rate}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it; files by their names alone."""
        teachers, energy = ([at.to_dict() for at in which] for which in (self.teachers, self.energy))
        return asdict(self) | {"teachers": teachers, "energy": energy}

    @property
    def energy_teachers(self) -> tuple[TeacherAt, ...]:
        """Those whose lengths are learned; without others, the teachers themselves."""
        return self.energy or self.teachers

    @property
    def sizes(self) -> set[int]:
        """At which crops are seen."""
        return {self.size, *(at.size for at in (*self.teachers, *self.energy))}
