"""A plan in PyTorch: its steps as functions of named parameters. What is trained so is exported by the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dff_onnx.errors import UsageError
from dff_onnx.export.network import Conv, GlobalPool, Linear, MaxPool, Step
from dff_onnx.records import Preprocessing

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]

# Not learned by gradients: batch norms gather them.
RUNNING = (".running_mean", ".running_var")
MOMENTUM = 0.1
# Brightness, contrast and saturation are multiplied by up to 1 +- this.
JITTER = 0.25


def require_torch(what: str) -> None:
    """Refuses to go on without PyTorch; `what` needs it."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{what} needs PyTorch, which is not installed: pip install 'dff-onnx[distill]'") from error


def normalised(pixels: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """What the first step takes.

    Args:
        pixels: `(n, 3, h, w)` float32, RGB 0..255.
        preprocessing: what the network was trained on.
    """
    import torch

    if preprocessing.channels == "BGR":
        pixels = pixels.flip(1)
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    scaled = (pixels - mean / preprocessing.scale) * (preprocessing.scale / std)
    return scaled.contiguous(memory_format=torch.channels_last)


def run(
    steps: Sequence[Step], parameters: Tensors, tensors: Tensors, wanted: Sequence[str], *, training: bool = False
) -> list[torch.Tensor]:
    """Runs steps of a plan; a tensor is forgotten after its last use.

    Args:
        steps: in their order.
        parameters: by their names in a checkpoint.
        tensors: what the steps begin with, by name.
        wanted: names of the tensors to give back.
        training: whether batch norms use the batch's own figures, and gather them.
    """
    held = dict(tensors)
    last = {name: step.output for step in steps for name in step.inputs}
    for step in steps:
        held[step.output] = _step(step, [held[name] for name in step.inputs], parameters, training)
        for name in step.inputs:
            if last[name] == step.output and name not in wanted:
                held.pop(name, None)
    return [held[name] for name in wanted]


def _step(step: Step, inputs: list[torch.Tensor], parameters: Tensors, training: bool) -> torch.Tensor:
    import torch
    from torch.nn import functional

    if isinstance(step, Conv):
        return _conv(step, inputs[0], parameters, training)
    if isinstance(step, Linear):
        return functional.linear(inputs[0], *(parameters[name] for name, _ in step.expected()))
    if isinstance(step, MaxPool):
        return functional.max_pool2d(inputs[0], step.kernel, step.stride, step.pad, ceil_mode=step.ceil)
    if isinstance(step, GlobalPool):
        return inputs[0].mean((2, 3)) if step.kind == "avg" else inputs[0].amax((2, 3))
    if step.kind == "Concat":
        return torch.cat(inputs, 1)
    if step.kind == "Flatten":
        return inputs[0].flatten(1)
    return inputs[0].relu() if step.kind == "Relu" else inputs[0] + inputs[1]


def _conv(step: Conv, source: torch.Tensor, parameters: Tensors, training: bool) -> torch.Tensor:
    from torch.nn import functional

    weight = parameters[f"{step.parameters}.weight"]
    bias = parameters[f"{step.parameters}.bias"] if step.bias else None
    made = functional.conv2d(source, weight, bias, step.stride, step.pad, groups=step.groups)
    if not step.norm:
        return made
    gamma, beta, mean, var = (
        parameters[f"{step.norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    return functional.batch_norm(made, mean, var, gamma, beta, training, MOMENTUM, step.epsilon)


def jittered(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Pixels `(n, 3, h, w)` 0..255 with another brightness, contrast and saturation each."""
    import torch

    factors = torch.from_numpy(rng.uniform(1 - JITTER, 1 + JITTER, (3, len(pixels), 1, 1, 1)).astype(np.float32))
    brightness, contrast, saturation = factors
    grey = pixels.mean(1, keepdim=True)
    coloured = grey + saturation * (pixels - grey)
    level = coloured.mean((1, 2, 3), keepdim=True)
    return (brightness * (level + contrast * (coloured - level))).clamp(0, 255)
