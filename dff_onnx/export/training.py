"""What trainings share: a state that survives a kill, epoch by epoch, and the schedule of the rate."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.files import write_atomically

if TYPE_CHECKING:
    import torch

# Of the schedule: the share of steps in which the rate rises.
WARM_UP = 0.1
WEIGHT_DECAY = 1e-4


@dataclass
class Training:
    """The state of a training; all of it is in the checkpoint."""

    parameters: dict[str, torch.Tensor]
    optimizer: Any
    log: list[dict[str, float]] = field(default_factory=list)


def one_cycle(share: float) -> float:
    """The rate's factor: up along a line, down along a cosine (Smith & Topin 2019).

    >>> [round(one_cycle(share), 2) for share in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    if share < WARM_UP:
        return 0.04 + 0.96 * share / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def identity(begin: Mapping[str, NDArray[np.float32]], said: Mapping[str, Any]) -> str:
    """What must be equal for a training to go on: the settings and the parameters it began with."""
    digest = hashlib.sha256(json.dumps(said).encode())
    for name in sorted(begin):
        digest.update(name.encode() + begin[name].tobytes())
    return digest.hexdigest()


def save(work: Path, state: Training, identity: str) -> None:
    """Writes `checkpoint.pt` and `log.jsonl`."""
    import torch

    buffer = io.BytesIO()
    kept = {"parameters": state.parameters, "optimizer": state.optimizer.state_dict(), "log": state.log}
    torch.save(kept | {"identity": identity}, buffer)
    write_atomically(work / "checkpoint.pt", buffer.getvalue())
    lines = "".join(json.dumps(line) + "\n" for line in state.log)
    write_atomically(work / "log.jsonl", lines.encode())


def restore(work: Path, state: Training, identity: str) -> None:
    """Takes up what `save` wrote, where there is something.

    Raises:
        UsageError: when it is of other settings, or began with other parameters.
    """
    import torch

    path = work / "checkpoint.pt"
    if not path.is_file():
        return
    kept = torch.load(path, weights_only=True)
    if kept["identity"] != identity:
        raise UsageError(f"{path}: is of other settings or another beginning; choose another --work, or delete it")
    with torch.no_grad():
        for name, tensor in state.parameters.items():
            tensor.copy_(kept["parameters"][name])
    state.optimizer.load_state_dict(kept["optimizer"])
    state.log.extend(kept["log"])
