"""The training: epoch by epoch, from a seed, and on from where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dff_onnx.export.cached_array import Say
from dff_onnx.export.distillation.lesson import Lesson
from dff_onnx.export.distillation.settings import Distillation
from dff_onnx.export.distillation.student import forward
from dff_onnx.export.network import Network
from dff_onnx.export.torch_runner import RUNNING, jittered
from dff_onnx.export.training import WEIGHT_DECAY, Training, identity, one_cycle, restore, save

if TYPE_CHECKING:
    import torch

# Parts of the loss beside the relative squared error: the cosine distance, and the squared error of the length. Where a
# student is unsure what it sees, the squared error alone makes its answer short, and an unusual object faint.
DIRECTION = 0.5
LENGTH = 1.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Of an epoch.

    Attributes:
        epoch: counted from 1.
        loss: mean over the epoch's batches.
        error: of the validation photographs, squared, relative to their targets' squares.
        cosine: between answer and target, averaged over places.
        length: correlation of the answers' and the targets' lengths, over all places.
        zeros: share of the student's features that are 0.
        seconds: the epoch took.
    """

    epoch: int
    loss: float
    error: float
    cosine: float
    length: float
    zeros: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: loss {self.loss:.4f}, validation error {self.error:.4f}, "
            f"cosine {self.cosine:.4f}, length {self.length:.4f}, zeros {self.zeros:.3f}, {self.seconds:.0f} s"
        )


def train(
    work: Path, network: Network, begin: dict[str, NDArray[np.float32]], lesson: Lesson, plan: Distillation, say: Say
) -> dict[str, NDArray[np.float32]]:
    """Trains, or goes on with, the student; writes `checkpoint.pt` and `log.jsonl` after every epoch.

    Args:
        work: the folder of the distillation.
        network: the student's plan.
        begin: its initial parameters.
        lesson: what to learn.
        plan: how.
        say: takes a line per epoch.

    Returns:
        The trained parameters.

    Raises:
        UsageError: when the checkpoint is of other settings.
    """
    import torch

    torch.set_num_threads(plan.threads)
    state, identified = _state(begin, plan), identity(begin, plan.to_dict())
    restore(work, state, identified)
    for epoch in range(len(state.log) + 1, plan.epochs + 1):
        started = time.monotonic()
        loss = _epoch(network, state, lesson, plan, epoch)
        figures = validate(network, state.parameters, lesson, epoch, loss, time.monotonic() - started)
        state.log.append({name: getattr(figures, name) for name in Figures.__slots__})
        save(work, state, identified)
        say(str(figures))
    return {name: tensor.detach().contiguous().numpy() for name, tensor in state.parameters.items()}


def _state(begin: dict[str, NDArray[np.float32]], plan: Distillation) -> Training:
    import torch

    parameters = {name: torch.from_numpy(values.copy()) for name, values in begin.items()}
    for name, tensor in parameters.items():
        if tensor.ndim == 4:
            parameters[name] = tensor.contiguous(memory_format=torch.channels_last)
    learned = [tensor.requires_grad_() for name, tensor in parameters.items() if not name.endswith(RUNNING)]
    decayed = [tensor for tensor in learned if tensor.ndim == 4]
    others = [tensor for tensor in learned if tensor.ndim != 4]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    return Training(parameters, torch.optim.AdamW(groups, lr=plan.rate))


def _epoch(network: Network, state: Training, lesson: Lesson, plan: Distillation, epoch: int) -> float:
    import torch

    rng, losses = np.random.default_rng((plan.seed, epoch)), []
    order = _order(lesson, rng)
    batches = [order[i : i + plan.batch] for i in range(0, len(order), plan.batch)]
    for step, batch in enumerate(batches):
        for group in state.optimizer.param_groups:
            group["lr"] = plan.rate * one_cycle((epoch - 1 + step / len(batches)) / plan.epochs)
        pixels, targets = _batch(lesson, batch, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.bfloat16):
            answer = forward(network, state.parameters, pixels, training=True)
        loss = _loss(answer.float(), targets)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _order(lesson: Lesson, rng: np.random.Generator) -> NDArray[np.int64]:
    """All crops to learn from, shuffled: `(photograph, crop)`."""
    photographs = np.flatnonzero(lesson.usable & ~lesson.held_out)
    pairs = np.stack(np.meshgrid(photographs, np.arange(lesson.pixels.shape[1]), indexing="ij"), -1).reshape(-1, 2)
    shuffled: NDArray[np.int64] = rng.permutation(pairs)
    return shuffled


def _batch(lesson: Lesson, pairs: NDArray[np.int64], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    pixels, targets = _tensors(lesson, pairs)
    flipped = torch.from_numpy(rng.random(len(pairs)) < 0.5)[:, None, None, None]
    pixels = torch.where(flipped, pixels.flip(3), pixels)
    targets = torch.where(flipped, targets.flip(3), targets)
    return jittered(pixels, rng), targets


def _tensors(lesson: Lesson, pairs: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    pixels, answers = lesson.of([(int(i), int(j)) for i, j in pairs])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), torch.from_numpy(answers)


def _loss(answer: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from torch.nn import functional

    # Targets have a mean square of 1, so this error is relative.
    error = (answer - targets).square().mean()
    cosine = functional.cosine_similarity(answer, targets, dim=1, eps=1e-4).mean()
    return error + DIRECTION * (1 - cosine) + LENGTH * _length_error(answer, targets)


def _length_error(answer: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared, of the lengths at every place, relative to the mean square length."""
    found, wanted = ((values.square().sum(1) + 1e-6).sqrt() for values in (answer, targets))
    return (found - wanted).square().mean() / answer.shape[1]


def validate(
    network: Network, parameters: dict[str, torch.Tensor], lesson: Lesson, epoch: int, loss: float, seconds: float
) -> Figures:
    """Figures on the whole pictures of the photographs that are held out."""
    import torch
    from torch.nn import functional

    parts = []
    for pixels, targets in validation_batches(lesson):
        with torch.no_grad():
            parts.append((forward(network, parameters, pixels, training=False), targets))
    answer, targets = (torch.cat(values) for values in zip(*parts, strict=True))
    lengths = torch.stack([values.square().sum(1).sqrt().ravel() for values in (answer, targets)])
    return Figures(
        epoch=epoch,
        loss=loss,
        error=float((answer - targets).square().mean() / targets.square().mean()),
        cosine=float(functional.cosine_similarity(answer, targets, dim=1, eps=1e-4).mean()),
        length=float(torch.corrcoef(lengths)[0, 1]),
        zeros=float((answer == 0).float().mean()),
        seconds=seconds,
    )


def validation_batches(lesson: Lesson, most: int = 32) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The whole pictures that are held out, and their targets."""
    indices = np.flatnonzero(lesson.usable & lesson.held_out)
    pairs = np.stack([indices, np.zeros_like(indices)], -1)
    for begin in range(0, len(pairs), most):
        yield _tensors(lesson, pairs[begin : begin + most])
