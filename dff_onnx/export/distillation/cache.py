"""What the teachers say of every crop, on disk: each runs once. What was done survives a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.lattice import Lattice
from dff_onnx.backbone.model_file import load_model
from dff_onnx.errors import ImageError, UsageError
from dff_onnx.export.cached_array import CachedArray, Say, T, make_folder, mapped, names_digest
from dff_onnx.export.distillation import targets
from dff_onnx.export.distillation.crops import Pixels, crops_of
from dff_onnx.export.distillation.lesson import SURVEY, Lesson, held_out
from dff_onnx.export.distillation.settings import Distillation, TeacherAt
from dff_onnx.export.distillation.teacher import Features, Teacher
from dff_onnx.threads import in_order

# Photographs between two notes of how far the cache is.
NOTE = 16


def fill(work: Path, photographs: list[Path], plan: Distillation, lattice: Lattice, cells: int, say: Say) -> Lesson:
    """Makes the cache, or what is missing of it: pixels, directions, and the lengths of each energy teacher.

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
    make_folder(work)
    maker = _Maker(work, photographs, plan, lattice, cells, say)
    pixels = maker.part("pixels", (plan.size, plan.size, 3), np.uint8, {"size": plan.size})
    channels = plan.channels // len(plan.teachers)
    directions = [
        maker.part(f"directions-{_slug(at)}", (channels, cells, cells), np.float16, _identity(at))
        for at in plan.teachers
    ]
    lengths = [
        maker.part(f"lengths-{_slug(at)}", (cells, cells), np.float32, _identity(at)) for at in plan.energy_teachers
    ]
    usable = mapped(work / "usable.npy", (len(photographs),), np.bool_)
    maker.run(usable)
    kept = held_out(len(photographs), plan.held_out)
    if not usable[kept].any() or not usable[~kept].any():
        raise UsageError(f"{photographs[0].parent}: no photograph to learn from, or none to validate, can be read")
    return Lesson(pixels, tuple(directions), tuple(lengths), np.asarray(usable), kept).sparse(plan.sparsity)


@dataclass
class _Maker:
    work: Path
    photographs: list[Path]
    plan: Distillation
    lattice: Lattice
    cells: int
    say: Say
    parts: dict[str, CachedArray] = field(default_factory=dict)

    def part(
        self, name: str, shape: tuple[int, ...], kind: type[T], said: dict[str, Any]
    ) -> np.memmap[tuple[int, ...], np.dtype[T]]:
        """Opens an array `(photographs, crops, *shape)`; `said` is what it must have been made from."""
        names = names_digest([path.name for path in self.photographs])
        whole = {"photographs": names, "crops": self.plan.crops, "seed": self.plan.seed, **said}
        full = (len(self.photographs), self.plan.crops, *shape)
        self.parts[name] = CachedArray.open(self.work, name, full, kind, whole)
        array: np.memmap[tuple[int, ...], np.dtype[T]] = self.parts[name].array
        return array

    def run(self, usable: NDArray[np.bool_]) -> None:
        """Fills what is missing, photograph by photograph."""
        missing = {name: part for name, part in self.parts.items() if part.done < len(self.photographs)}
        if not missing:
            return
        answers = self._answers(missing)
        begin = min(part.done for part in missing.values())
        indices = range(begin, len(self.photographs))
        for index, crops in zip(indices, self._crops(indices, self.plan.sizes, self.plan.crops), strict=True):
            if crops is None:
                self.say(f"left out: {self.photographs[index].name}")
            else:
                usable[index] = True
                seen = _Seen(crops, self.lattice, self.cells, self.plan.size)
                for name, part in missing.items():
                    if index >= part.done:
                        part.array[index] = answers[name](seen)
            if (index + 1) % NOTE == 0 or index + 1 == len(self.photographs):
                self._note(missing, usable, index + 1)

    def _answers(self, missing: dict[str, CachedArray]) -> dict[str, Callable[[_Seen], NDArray[Any]]]:
        """What fills each missing part; only their teachers are opened."""
        made: dict[str, Callable[[_Seen], NDArray[Any]]] = {"pixels": _Seen.pixels}
        opened: dict[TeacherAt, Teacher] = {}
        for at in self.plan.teachers:
            if (name := f"directions-{_slug(at)}") in missing:
                teacher = opened.setdefault(at, Teacher.open(at))
                made[name] = partial(_directions, teacher, self._chosen(name, teacher))
        for at in self.plan.energy_teachers:
            if (name := f"lengths-{_slug(at)}") in missing:
                made[name] = partial(_lengths, opened.get(at) or Teacher.open(at))
        return made

    def _crops(self, indices: range, sizes: set[int], count: int) -> Iterator[dict[int, Pixels] | None]:
        """Of photographs, made by a thread that runs ahead; None for one that cannot be read."""

        def work(index: int) -> dict[int, Pixels] | None:
            try:
                return crops_of(self.photographs[index], tuple(sizes), count, (self.plan.seed, index))
            except ImageError:
                return None

        return in_order(indices, work, 1)

    def _chosen(self, name: str, teacher: Teacher) -> NDArray[np.int64]:
        """The strongest channels; those of before, where some photographs are done."""
        path, part = self.work / f"{name}-channels.npy", self.parts[name]
        if part.done:
            kept: NDArray[np.int64] = np.load(path)
            return kept
        count = len(self.photographs)
        sample = range(0, count, max(1, count // SURVEY))[:SURVEY]
        self.say(f"survey of {len(sample)} photographs by {teacher.at.path.name}")
        crops = (crops for crops in self._crops(sample, {teacher.at.size}, 1) if crops is not None)
        seen = (_Seen(one, self.lattice, self.cells, self.plan.size) for one in crops)
        chosen = targets.strongest((one.features(teacher) for one in seen), part.array.shape[2])
        np.save(path, chosen)
        return chosen

    def _note(self, missing: dict[str, CachedArray], usable: Any, done: int) -> None:
        usable.flush()
        for part in missing.values():
            part.save(done)
        self.say(f"teachers {done}/{len(self.photographs)}")


@dataclass
class _Seen:
    """The crops of one photograph, and what teachers made of them."""

    crops: dict[int, Pixels]
    lattice: Lattice
    cells: int
    size: int
    known: dict[TeacherAt, Features] = field(default_factory=dict)

    def pixels(self) -> Pixels:
        """As the student sees them."""
        return self.crops[self.size]

    def features(self, teacher: Teacher) -> Features:
        """A teacher's, computed once."""
        if teacher.at not in self.known:
            self.known[teacher.at] = teacher.features(self.crops, self.lattice, self.cells, self.size)
        return self.known[teacher.at]


def _lengths(teacher: Teacher, seen: _Seen) -> NDArray[Any]:
    return targets.lengths(seen.features(teacher))


def _directions(teacher: Teacher, chosen: NDArray[np.int64], seen: _Seen) -> NDArray[Any]:
    # Figures about 1 lose least in float16.
    return targets.directions(seen.features(teacher), chosen) * np.float32(len(chosen) ** 0.5)


def _identity(at: TeacherAt) -> dict[str, Any]:
    """What tells one teacher from another, whatever their files are called."""
    return {"sha256": load_model(at.path).sha256, "layer": at.layer, "size": at.size}


def _slug(at: TeacherAt) -> str:
    return "-".join(filter(None, (at.path.stem, (at.layer or "").strip("/").replace("/", "_"), str(at.size))))
