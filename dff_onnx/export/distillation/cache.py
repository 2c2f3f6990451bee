"""Crops and targets of all photographs, on disk: the teachers run once. What was done survives a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from dff_onnx.backbone.lattice import Lattice
from dff_onnx.errors import ImageError, OutputError, UsageError
from dff_onnx.export.distillation.crops import Pixels, crops_of
from dff_onnx.export.distillation.settings import Distillation
from dff_onnx.export.distillation.targets import Recipe, recipe
from dff_onnx.export.distillation.teacher import Features, Teacher
from dff_onnx.files import write_atomically
from dff_onnx.images import in_order

# Photographs whose whole pictures tell which channels are strong.
SURVEY = 256
# Photographs between two notes of how far the cache is.
NOTE = 16

T = TypeVar("T", bound=np.generic)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Crops:
    """What the student sees and what it is to answer.

    Attributes:
        pixels: `(photographs, crops, size, size, 3)` uint8.
        targets: `(photographs, crops, channels, h, w)` float16.
        usable: which photographs could be read.
        held_out: which are for validation.
        threshold: what is subtracted from targets before those below 0 become 0.
        gain: what then makes their mean square 1.
    """

    pixels: Pixels
    targets: NDArray[np.float16]
    usable: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    threshold: float = 0.0
    gain: float = 1.0

    def of(self, pairs: Sequence[tuple[int, int]]) -> tuple[Pixels, Features]:
        """Pixels `(n, size, size, 3)` and answers `(n, channels, h, w)` of crops, given as (photograph, crop)."""
        targets = np.stack([self.targets[pair] for pair in pairs]).astype(np.float32)
        answers = np.maximum(targets - np.float32(self.threshold), 0) * np.float32(self.gain)
        return np.stack([self.pixels[pair] for pair in pairs]), answers

    def sparse(self, share: float) -> Crops:
        """The same, where so large a share of the answers is 0; told by the whole pictures that are learned from."""
        learned = np.flatnonzero(self.usable & ~self.held_out)
        plain = replace(self, threshold=0.0, gain=1.0)
        _, sample = plain.of([(i, 0) for i in learned[:: max(1, len(learned) // SURVEY)]])
        threshold = float(np.quantile(sample, share))
        power = float(np.square(np.maximum(sample - np.float32(threshold), 0)).mean())
        return replace(self, threshold=threshold, gain=power**-0.5)


def held_out(photographs: int, count: int) -> NDArray[np.bool_]:
    """Which photographs are kept for validation: `count` of them, evenly over the sorted folder.

    >>> held_out(10, 2).nonzero()[0].tolist()
    [2, 7]
    """
    if not 0 < count < photographs:
        raise UsageError(f"held-out: {count} of {photographs} photographs; some must be left to learn from")
    found = np.zeros(photographs, np.bool_)
    found[((np.arange(count) + 0.5) * photographs / count).astype(int)] = True
    return found


def fill(work: Path, photographs: list[Path], plan: Distillation, lattice: Lattice, cells: int, say: Say) -> Crops:
    """Makes the cache, or what is missing of it.

    Args:
        work: the folder of the distillation.
        photographs: files, sorted.
        plan: of the distillation.
        lattice, cells: where the student's cells look, and how many there are along a side.
        say: takes lines of progress.

    Raises:
        UsageError: when the folder holds another distillation, or too few photographs can be read.
        ModelError: when a teacher cannot be used.
        OutputError: when the cache cannot be made.
    """
    work.mkdir(parents=True, exist_ok=True)
    shape = (len(photographs), plan.crops)
    pixels = _array(work / "pixels.npy", (*shape, plan.size, plan.size, 3), np.uint8)
    targets = _array(work / "targets.npy", (*shape, plan.channels, cells, cells), np.float16)
    usable = _array(work / "usable.npy", (len(photographs),), np.bool_)
    done = _done(work / "cache.json", plan, len(photographs))
    if done < len(photographs):
        maker = _Maker.open(plan, lattice, cells)
        made = _recipe(work / "recipe.npz", maker, photographs, say)
        for index, crops, answer in maker.run(photographs, made, done):
            if crops is not None and answer is not None:
                pixels[index], targets[index], usable[index] = crops, answer, True
            else:
                say(f"left out: {photographs[index].name}")
            if (index + 1) % NOTE == 0 or index + 1 == len(photographs):
                for array in (pixels, targets, usable):
                    array.flush()
                _note(work / "cache.json", plan, index + 1, len(photographs))
                say(f"teachers {index + 1}/{len(photographs)}")
    kept = held_out(len(photographs), plan.held_out)
    if not usable[kept].any() or not usable[~kept].any():
        raise UsageError(f"{photographs[0].parent}: no photograph to learn from, or none to validate, can be read")
    return Crops(pixels, targets, np.asarray(usable), kept).sparse(plan.sparsity)


@dataclass(frozen=True)
class _Maker:
    plan: Distillation
    teachers: tuple[Teacher, ...]
    energy: tuple[Teacher, ...]
    lattice: Lattice
    cells: int

    @classmethod
    def open(cls, plan: Distillation, lattice: Lattice, cells: int) -> _Maker:
        opened = {at: Teacher.open(at) for at in dict.fromkeys((*plan.teachers, *plan.energy))}
        teachers, energy = (tuple(opened[at] for at in which) for which in (plan.teachers, plan.energy))
        return cls(plan, teachers, energy, lattice, cells)

    def crops(self, photographs: list[Path], begin: int, count: int) -> Iterator[dict[int, Pixels] | None]:
        """Of the photographs from `begin` on; None for one that cannot be read."""
        sizes = (self.plan.size, *(teacher.at.size for teacher in (*self.teachers, *self.energy)))

        def work(index: int) -> dict[int, Pixels] | None:
            try:
                return crops_of(photographs[index], sizes, count, (self.plan.seed, index))
            except ImageError:
                return None

        return in_order(range(begin, len(photographs)), work, 1)

    def seen(self, crops: dict[int, Pixels]) -> tuple[list[Features], list[Features]]:
        every = {teacher.at: teacher for teacher in (*self.teachers, *self.energy)}
        found = {at: t.features(crops, self.lattice, self.cells, self.plan.size) for at, t in every.items()}
        return [found[teacher.at] for teacher in self.teachers], [found[teacher.at] for teacher in self.energy]

    def run(
        self, photographs: list[Path], made: Recipe, begin: int
    ) -> Iterator[tuple[int, Pixels | None, Features | None]]:
        for index, crops in enumerate(self.crops(photographs, begin, self.plan.crops), begin):
            if crops is None:
                yield index, None, None
            else:
                yield index, crops[self.plan.size], made.targets(*self.seen(crops))


def _recipe(path: Path, maker: _Maker, photographs: list[Path], say: Say) -> Recipe:
    if path.is_file():
        with np.load(path) as kept:
            return Recipe(kept["chosen"], kept["scale"], tuple(kept["energies"].tolist()), float(kept["overall"]))
    say(f"survey of {min(SURVEY, len(photographs))} photographs")
    sample = photographs[:: max(1, len(photographs) // SURVEY)][:SURVEY]
    whole = (crops for crops in maker.crops(sample, 0, 1) if crops is not None)
    made = recipe(map(maker.seen, whole), maker.plan.channels)
    with path.with_suffix(".part").open("wb") as file:
        np.savez(file, chosen=made.chosen, scale=made.scale, energies=made.energies, overall=made.overall)
    path.with_suffix(".part").replace(path)
    return made


def _array(path: Path, shape: tuple[int, ...], kind: type[T]) -> np.memmap[tuple[int, ...], np.dtype[T]]:
    try:
        if not path.is_file():
            return open_memmap(path, "w+", kind, shape)
        array: np.memmap[tuple[int, ...], np.dtype[T]] = open_memmap(path, "r+")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be used as a cache ({error}); choose another --work") from error
    if array.shape != shape:
        raise UsageError(f"{path}: is the cache of another distillation; choose another --work, or delete it")
    return array


def _done(path: Path, plan: Distillation, photographs: int) -> int:
    """How many photographs the cache holds already."""
    if not path.is_file():
        return 0
    kept = json.loads(path.read_text())
    if kept["plan"] != plan.cached_part() or kept["photographs"] != photographs:
        raise UsageError(f"{path.parent}: is the cache of another distillation; choose another --work, or delete it")
    return int(kept["done"])


def _note(path: Path, plan: Distillation, done: int, photographs: int) -> None:
    note = {"plan": plan.cached_part(), "photographs": photographs, "done": done}
    write_atomically(path, json.dumps(note).encode())
