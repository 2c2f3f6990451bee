"""The training: epoch by epoch, from a seed, and on from where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.export.cached_array import Say
from dff_onnx.export.finetuning.settings import Finetuning
from dff_onnx.export.finetuning.views import Pair, Views
from dff_onnx.export.gap import CONV, FEATURES, LINEAR, Weights, new_steps
from dff_onnx.export.network import Network
from dff_onnx.export.torch_runner import RUNNING, jittered, normalised, run
from dff_onnx.export.training import WEIGHT_DECAY, Training, identity, one_cycle, restore, save

if TYPE_CHECKING:
    import torch

# The rate of layers that were kept, relative to that of new ones.
KEPT_RATE = 0.1
# Photographs that say how strong features are.
SURVEY = 64


@dataclass(frozen=True, slots=True)
class Figures:
    """Of an epoch.

    Attributes:
        epoch: counted from 1.
        loss: mean cross-entropy of what was learned from.
        learned: share of it that was told right, while it was learned.
        accuracy: share of the whole pictures held out that are told right.
        seconds: the epoch took.
    """

    epoch: int
    loss: float
    learned: float
    accuracy: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: loss {self.loss:.4f}, accuracy {self.learned:.3f} of what is learned, "
            f"{self.accuracy:.3f} held out, {self.seconds:.0f} s"
        )


def train(
    work: Path, network: Network, begin: Weights, views: Views, plan: Finetuning, say: Say
) -> tuple[Weights, tuple[dict[str, float], ...]]:
    """Trains, or goes on; writes `checkpoint.pt` and `log.jsonl` after every epoch.

    Args:
        work: the folder of the training.
        network: made by `gap.gap_network`.
        begin: its parameters.
        views: what is seen.
        plan: how.
        say: takes a line per epoch.

    Returns:
        all parameters, and the figures of every epoch.

    Raises:
        UsageError: when the checkpoint is of other settings.
    """
    import torch

    torch.set_num_threads(plan.threads)
    begin = _calibrated(network, begin, views, plan)
    state, fixed = _state(network, begin, plan)
    identified = identity(begin, plan.to_dict())
    restore(work, state, identified)
    for epoch in range(len(state.log) + 1, plan.epochs + 1):
        started = time.monotonic()
        loss, learned = _epoch(network, state, fixed, views, plan, epoch)
        accuracy = measure(network, fixed | state.parameters, views, plan)
        figures = Figures(epoch, loss, learned, accuracy, time.monotonic() - started)
        state.log.append(asdict(figures))
        save(work, state, identified)
        say(str(figures))
    trained = {name: tensor.detach().contiguous().numpy() for name, tensor in state.parameters.items()}
    return begin | trained, tuple(state.log)


def _calibrated(network: Network, begin: Weights, views: Views, plan: Finetuning) -> Weights:
    """With features of mean square 1, so that one rate suits all networks (Mishkin and Matas 2016).

    Where the linear layer is all zeros the scale of what it takes changes nothing; else nothing is scaled.
    """
    import torch

    if begin[f"{LINEAR}.weight"].any():
        return begin
    tensors = {name: torch.from_numpy(values) for name, values in begin.items()}
    sample = views.learned[:: max(1, len(views.learned) // SURVEY)]
    with torch.no_grad():
        powers = [
            _answers(network, tensors, values, plan, FEATURES).square().mean() for values, _ in _whole(views, sample)
        ]
    factor = np.float32(max(float(torch.stack(powers).mean()), 1e-12) ** -0.5)
    return begin | {name: begin[name] * factor for name in (f"{CONV}.weight", f"{CONV}.bias")}


def _state(network: Network, begin: Weights, plan: Finetuning) -> tuple[Training, dict[str, torch.Tensor]]:
    """What is learned, and the parameters that stay."""
    import torch

    new = {f"{module}.{part}" for module in (CONV, LINEAR) for part in ("weight", "bias")}
    tensors = {name: torch.from_numpy(begin[name].copy()) for name in network.expected}
    # Batch norms keep the figures that they gathered on far more pictures than these.
    learned = [name for name in tensors if name in new or (plan.everything and not name.endswith(RUNNING))]
    groups: list[dict[str, Any]] = []
    for name in learned:
        decay = WEIGHT_DECAY if tensors[name].ndim > 1 else 0.0
        factor = 1.0 if name in new else KEPT_RATE
        groups.append({"params": [tensors[name].requires_grad_()], "weight_decay": decay, "factor": factor})
    parameters = {name: tensors.pop(name) for name in learned}
    return Training(parameters, torch.optim.AdamW(groups, lr=plan.rate)), tensors


def _epoch(
    network: Network, state: Training, fixed: dict[str, torch.Tensor], views: Views, plan: Finetuning, epoch: int
) -> tuple[float, float]:
    from torch.nn import functional

    rng, losses, right = np.random.default_rng((plan.seed, epoch)), [], 0
    order = rng.permutation(views.learned)
    crops = rng.integers(0, plan.crops, len(order))
    pairs: list[Pair] = [(int(photograph), int(crop)) for photograph, crop in zip(order, crops, strict=True)]
    batches = [pairs[i : i + plan.batch] for i in range(0, len(pairs), plan.batch)]
    for step, batch in enumerate(batches):
        for group in state.optimizer.param_groups:
            share = (epoch - 1 + step / len(batches)) / plan.epochs
            group["lr"] = plan.rate * group["factor"] * one_cycle(share)
        values, labels = views.of(batch)
        if plan.everything:
            values = jittered(values, rng)
        scores = _answers(network, fixed | state.parameters, values, plan, str(network.scores))
        loss = functional.cross_entropy(scores, labels)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        losses.append(float(loss.detach()) * len(batch))
        right += int((scores.argmax(1) == labels).sum())
    return float(np.sum(losses)) / len(pairs), right / len(pairs)


def _answers(
    network: Network, parameters: dict[str, torch.Tensor], values: torch.Tensor, plan: Finetuning, wanted: str
) -> torch.Tensor:
    """A tensor of the network, from pixels or from the features of the trunk."""
    if plan.everything:
        return run(network.steps, parameters, {INPUT: normalised(values, plan.preprocessing)}, [wanted])[0]
    steps = new_steps(network)[1]
    return run(steps, parameters, {steps[0].inputs[0]: values}, [wanted])[0]


def measure(network: Network, parameters: dict[str, torch.Tensor], views: Views, plan: Finetuning) -> float:
    """The share of the whole pictures held out whose class has the highest score."""
    import torch

    right = 0
    with torch.no_grad():
        for values, labels in _whole(views, views.tested):
            scores = _answers(network, parameters, values, plan, str(network.scores))
            right += int((scores.argmax(1) == labels).sum())
    return right / len(views.tested)


def _whole(
    views: Views, photographs: NDArray[np.int64], most: int = 32
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:  # fmt: skip
    """The whole pictures of photographs, in batches."""
    for begin in range(0, len(photographs), most):
        yield views.of([(int(photograph), 0) for photograph in photographs[begin : begin + most]])
