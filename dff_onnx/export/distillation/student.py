"""The student: its first parameters, its answers, and where its cells look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.lattice import PIXELS, Lattice
from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.errors import CheckpointError
from dff_onnx.export.checkpoint import open_checkpoint
from dff_onnx.export.network import Conv, MaxPool, Network
from dff_onnx.export.torch_runner import Tensors, normalised, run
from dff_onnx.records import Preprocessing

if TYPE_CHECKING:
    import torch


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


def forward(network: Network, parameters: Tensors, pixels: torch.Tensor, *, training: bool) -> torch.Tensor:
    """The features of a batch.

    Args:
        network: the plan, with one layer.
        parameters: by their names in a checkpoint.
        pixels: `(n, 3, h, w)` float32, RGB 0..255.
        training: whether batch norms use the batch's own figures, and gather them.
    """
    image = {INPUT: normalised(pixels, Preprocessing())}
    return run(network.steps, parameters, image, [network.layers[-1].name], training=training)[0]


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
