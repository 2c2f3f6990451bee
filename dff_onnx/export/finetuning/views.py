"""What the training sees of every photograph, on disk: features where the trunk stays as it is, else pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.preprocess_nodes import INPUT
from dff_onnx.errors import ImageError, UsageError
from dff_onnx.export.cached_array import CachedArray, Say, make_folder, mapped, names_digest
from dff_onnx.export.distillation.crops import Pixels, crops_of
from dff_onnx.export.finetuning.photographs import Photographs
from dff_onnx.export.finetuning.settings import Finetuning
from dff_onnx.export.gap import Weights, new_steps
from dff_onnx.export.network import Network
from dff_onnx.export.torch_runner import normalised, run
from dff_onnx.export.training import identity
from dff_onnx.files import printable
from dff_onnx.threads import in_order

if TYPE_CHECKING:
    import torch

# Photographs between two notes of how far the cache is.
NOTE = 32
# Features are stored in float16, which ends at 65504, divided by this: networks on pixels of 0..255 have large ones.
SCALE = 16.0
LARGEST = 65504.0

Pair = tuple[int, int]


@dataclass(frozen=True)
class Views:
    """Views of photographs, and their classes.

    Attributes:
        values: `(photographs, crops, size, size, 3)` uint8, or features `(photographs, crops, c, h, w)` float16. Of
            those held out there is the first alone.
        usable: which photographs could be read.
        labels: the class of each.
        held_out: which are not learned from.
    """

    values: NDArray[Any]
    usable: NDArray[np.bool_]
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    @property
    def learned(self) -> NDArray[np.int64]:
        """Numbers of the photographs that are learned from."""
        return np.flatnonzero(self.usable & ~self.held_out)

    @property
    def tested(self) -> NDArray[np.int64]:
        """Numbers of those that are held out."""
        return np.flatnonzero(self.usable & self.held_out)

    def of(self, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
        """Views, given as (photograph, crop), and their classes: pixels `(n, 3, h, w)` or features `(n, c, h, w)`."""
        import torch

        values = np.stack([self.values[pair] for pair in pairs])
        tensor = torch.from_numpy(values).float()
        labels = torch.from_numpy(self.labels[[photograph for photograph, _ in pairs]])
        return (tensor.permute(0, 3, 1, 2) if values.dtype == np.uint8 else tensor * SCALE), labels


def fill(
    work: Path, photographs: Photographs, plan: Finetuning, network: Network, weights: Weights, say: Say
) -> Views:  # fmt: skip
    """Makes the cache, or what is missing of it.

    Args:
        work: the folder of the training.
        photographs: with their classes.
        plan: of the training.
        network, weights: what is trained.
        say: takes lines of progress.

    Raises:
        UsageError: when the folder holds another training, or a class has no picture left that can be read.
        OutputError: when the cache cannot be made.
    """
    make_folder(work)
    look = _pixels if plan.everything else _features_of(network, weights, plan)
    shape = look(np.zeros((1, plan.size, plan.size, 3), np.uint8)).shape[1:]
    kind = np.uint8 if plan.everything else np.float16
    full = (len(photographs.paths), plan.crops, *shape)
    name = "pixels" if plan.everything else "features"
    cache = CachedArray.open(work, name, full, kind, _said(photographs, plan, network, weights))
    usable = mapped(work / "usable.npy", (len(photographs.paths),), np.bool_)
    for index, crops in _crops(photographs, plan, cache.done):
        if crops is None:
            say(f"left out: {printable(photographs.paths[index])}")
        else:
            usable[index] = True
            cache.array[index, : len(crops)] = look(crops)
        if (index + 1) % NOTE == 0 or index + 1 == len(photographs.paths):
            usable.flush()
            cache.save(index + 1)
            say(f"{name} {index + 1}/{len(photographs.paths)}")
    views = Views(cache.array, np.asarray(usable), photographs.labels, photographs.held_out)
    _check(views, photographs)
    return views


def _said(photographs: Photographs, plan: Finetuning, network: Network, weights: Weights) -> dict[str, Any]:
    """What the views are made from."""
    said: dict[str, Any] = {
        "photographs": names_digest([path.as_posix() for path in photographs.paths]),
        "crops": plan.crops,
        "size": plan.size,
        "seed": plan.seed,
        "held_out": plan.held_out,
    }
    if not plan.everything:
        trunk = {name: values for name, values in weights.items() if name in _trunk_parameters(network)}
        said |= {"layer": plan.layer, "trunk": identity(trunk, plan.preprocessing.to_dict())}
    return said


def _trunk_parameters(network: Network) -> set[str]:
    new = {name for step in new_steps(network)[1] if hasattr(step, "expected") for name, _ in step.expected()}
    return network.expected.keys() - new


def _crops(photographs: Photographs, plan: Finetuning, done: int) -> Iterator[tuple[int, Pixels | None]]:
    """The crops of each photograph, made by a thread that runs ahead; None for one that cannot be read."""
    indices = range(done, len(photographs.paths))

    def work(index: int) -> tuple[int, Pixels | None]:
        count = 1 if photographs.held_out[index] else plan.crops
        path = photographs.root / photographs.paths[index]
        try:
            crops = crops_of(path, (plan.size,), count, (plan.seed, index))[plan.size]
        except ImageError:
            return index, None
        crops[1::2] = crops[1::2, :, ::-1].copy()
        return index, crops

    return in_order(indices, work, 1)


def _pixels(crops: Pixels) -> NDArray[Any]:
    return crops


def _features_of(network: Network, weights: Weights, plan: Finetuning) -> Callable[[Pixels], NDArray[Any]]:
    """What makes features of crops, as they are stored."""
    import torch

    torch.set_num_threads(plan.threads)
    steps, new = new_steps(network)
    parameters = {name: torch.from_numpy(weights[name]) for name in _trunk_parameters(network)}

    def look(crops: Pixels) -> NDArray[Any]:
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            image = {INPUT: normalised(pixels, plan.preprocessing)}
            (found,) = run(steps, parameters, image, [new[0].inputs[0]])
            stored: NDArray[Any] = (found / SCALE).clamp(max=LARGEST).half().numpy()
        return stored

    return look


def _check(views: Views, photographs: Photographs) -> None:
    for number, name in enumerate(photographs.classes):
        if not (views.labels[views.learned] == number).any():
            raise UsageError(f"{photographs.root}: class {name!r} has no picture to learn from that can be read")
    if not len(views.tested):
        raise UsageError(f"{photographs.root}: none of the pictures that are held out can be read")
