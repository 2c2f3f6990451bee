"""The front door: teachers and photographs in, a small ONNX backbone out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dff_onnx.export.cached_array import Say
from dff_onnx.export.checkpoint import open_checkpoint
from dff_onnx.export.compact import HEAD, LAYER, compact
from dff_onnx.export.distillation.cache import fill
from dff_onnx.export.distillation.lesson import Lesson
from dff_onnx.export.distillation.settings import Distillation
from dff_onnx.export.distillation.student import forward, initial, lattice_of_plan
from dff_onnx.export.distillation.train import train, validation_batches
from dff_onnx.export.exporter import Exported, write_network
from dff_onnx.export.network import Network
from dff_onnx.export.safetensors import safetensors_bytes
from dff_onnx.export.torch_runner import require_torch
from dff_onnx.files import root_of, walk_pictures, write_atomically

if TYPE_CHECKING:
    import torch

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it.

    Attributes:
        exported: the ONNX file.
        pruned: channels that never answered, left out.
        log: the figures of every epoch; see `train.Figures`.
    """

    exported: Exported
    pruned: int
    log: tuple[dict[str, float], ...]


def distill(
    photographs: Path, work: Path, output: Path, plan: Distillation, begin: Path | None = None, say: Say = print
) -> Distilled:
    """Makes a small backbone that gives what larger ones give. Needs PyTorch; run again, it goes on.

    Args:
        photographs: a folder; labels are not needed.
        work: a folder for the cache, the checkpoint and `log.jsonl`.
        output: the ONNX file to write.
        plan: teachers, student and training.
        begin: a checkpoint to begin with; parameters are taken where name and shape agree.
        say: takes lines of progress.

    Raises:
        UsageError: when PyTorch is missing, or `work` holds a distillation of other settings.
        ModelError: when a teacher cannot be used.
    """
    require_torch("distilling")
    network = compact(plan.channels, normalised=plan.student == "compact_bn")
    weights = initial(network, plan.seed, begin)
    files = [root_of(photographs) / path for path in walk_pictures(photographs)]
    lesson = fill(work, files, plan, lattice_of_plan(network), _cells(network, weights, plan.size), say)
    weights = train(work, network, _calibrated(network, weights, lesson), lesson, plan, say)
    alive = _alive(network, weights, lesson)
    say(f"{int(alive.sum())} of {plan.channels} channels answer; the others are pruned")
    exported = _export(work, output, _pruned(weights, alive), plan)
    log = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    return Distilled(exported, int((~alive).sum()), tuple(log))


def _answer(network: Network, weights: Weights, pixels: torch.Tensor) -> torch.Tensor:
    import torch

    with torch.no_grad():
        parameters = {name: torch.from_numpy(values) for name, values in weights.items()}
        return forward(network, parameters, pixels, training=False)


def _cells(network: Network, weights: Weights, size: int) -> int:
    import torch

    return int(_answer(network, weights, torch.zeros(1, 3, size, size)).shape[-1])


def _calibrated(network: Network, weights: Weights, lesson: Lesson) -> Weights:
    """With the head scaled, so that its answers have the targets' mean square from the first step on."""
    pixels, _ = next(validation_batches(lesson))
    power = float(_answer(network, weights, pixels).square().mean())
    return weights | {f"{HEAD}.weight": weights[f"{HEAD}.weight"] / np.float32(max(power, 1e-12) ** 0.5)}


def _alive(network: Network, weights: Weights, lesson: Lesson) -> NDArray[np.bool_]:
    """The channels that answer anywhere on the photographs held out."""
    batches = validation_batches(lesson)
    highest = [_answer(network, weights, pixels).amax((0, 2, 3)).numpy() for pixels, _ in batches]
    found: NDArray[np.bool_] = np.max(highest, axis=0) > 0
    return found


def _pruned(weights: Weights, alive: NDArray[np.bool_]) -> Weights:
    return {name: values[alive] if name.startswith(f"{HEAD}.") else values for name, values in weights.items()}


def _export(work: Path, output: Path, weights: Weights, plan: Distillation) -> Exported:
    path = work / "student.safetensors"
    write_atomically(path, safetensors_bytes(weights))
    network = compact(len(weights[f"{HEAD}.weight"]), normalised=plan.student == "compact_bn")
    with open_checkpoint(path) as checkpoint:
        properties = {"dff.distillation": json.dumps(plan.to_dict())}
        return write_network(network, checkpoint, output, [LAYER], properties=properties)
