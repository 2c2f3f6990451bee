"""The student in PyTorch: the steps of a plan as functions of named parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.lattice import PIXELS, Lattice
from dff_onnx.errors import CheckpointError
from dff_onnx.export.checkpoint import open_checkpoint
from dff_onnx.export.network import EPSILON, INPUT, Conv, MaxPool, Network, Step
from dff_onnx.records import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    import torch

Parameters = Mapping[str, "torch.Tensor"]

# Not learned by gradients: batch norms gather them.
RUNNING = (".running_mean", ".running_var")
MOMENTUM = 0.1


def initial(network: Network, seed: int, checkpoint: Path | None = None) -> dict[str, NDArray[np.float32]]:
    """Parameters to begin with: He's normal ones, and those of a checkpoint where name and shape agree.

    Raises:
        CheckpointError: when nothing agrees.
    """
    rng = np.random.default_rng(seed)
    found = {name: _drawn(name, shape, rng) for name, shape in network.expected.items()}
    if checkpoint:
        with open_checkpoint(checkpoint) as kept:
            agreeing = [name for name, shape in kept.shapes.items() if network.expected.get(name) == shape]
            if not agreeing:
                raise CheckpointError(f"{checkpoint}: no parameter fits {network.name}; give SqueezeNet 1.1's weights")
            found |= {name: kept.array(name).astype(np.float32) for name in agreeing}
    return found


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    if len(shape) == 4:
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
    one = name.endswith((".norm.weight", ".running_var"))
    return np.full(shape, 1.0 if one else 0.0, np.float32)


def forward(network: Network, parameters: Parameters, pixels: torch.Tensor, *, training: bool) -> torch.Tensor:
    """The features of a batch.

    Args:
        network: the plan, with one layer.
        parameters: by their names in a checkpoint.
        pixels: `(n, 3, h, w)` float32, RGB 0..255.
        training: whether batch norms use the batch's own figures, and gather them.
    """
    import torch

    mean, std = (torch.tensor(v)[:, None, None] * 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    tensors = {INPUT: ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)}
    for step in network.steps:
        tensors[step.output] = _step(step, [tensors[name] for name in step.inputs], parameters, training)
    return tensors[network.layers[-1].name]


def _step(step: Step, inputs: list[torch.Tensor], parameters: Parameters, training: bool) -> torch.Tensor:
    import torch
    from torch.nn import functional

    if isinstance(step, Conv):
        made = functional.conv2d(
            inputs[0],
            parameters[f"{step.parameters}.weight"],
            parameters[f"{step.parameters}.bias"] if step.bias else None,
            step.stride,
            step.pad,
            groups=step.groups,
        )
        if not step.norm:
            return made
        gamma, beta, mean, var = (
            parameters[f"{step.norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return functional.batch_norm(made, mean, var, gamma, beta, training, MOMENTUM, EPSILON)
    if isinstance(step, MaxPool):
        return functional.max_pool2d(inputs[0], step.kernel, step.stride, step.pad, ceil_mode=step.ceil)
    if step.kind == "Concat":
        return torch.cat(inputs, 1)
    return inputs[0].relu() if step.kind == "Relu" else inputs[0] + inputs[1]


def lattice_of_plan(network: Network) -> Lattice:
    """Where the cells of the plan's last layer look."""
    lattices = {INPUT: PIXELS}
    for step in network.steps:
        lattice = lattices[step.inputs[0]]
        if isinstance(step, Conv):
            lattice = lattice.through(step.shape[-1], step.stride, step.pad)
        elif isinstance(step, MaxPool):
            lattice = lattice.through(step.kernel, step.stride, step.pad)
        lattices[step.output] = lattice
    return lattices[network.layers[-1].name]
