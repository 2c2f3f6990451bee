"""The part masks of a group's pictures, read once and kept as bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.datasets import Annotated
from dff_onnx.datasets.dataset import counted
from dff_onnx.records import Grid
from dff_onnx.report.names import shown

# The name of the one part that a group without part masks has: its objects as a whole.
WHOLE = "object"


@dataclass(frozen=True, slots=True, eq=False)
class PartTruth:
    """One picture's parts.

    Attributes:
        size: of the picture.
        bits: rows of bits by the part's name.
        void: a row of bits, None where every pixel counts.
    """

    size: Grid
    bits: Mapping[str, NDArray[np.uint8]]
    void: NDArray[np.uint8] | None

    def masks(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """`(p, H, W)` in the order of the names; a part that is not in the picture is nowhere."""
        stacked = np.zeros((len(names), self.size.height, self.size.width), bool)
        for index, name in enumerate(names):
            if name in self.bits:
                stacked[index] = _unpacked(self.bits[name], self.size)
        return stacked

    def void_mask(self) -> NDArray[np.bool_] | None:
        """`(H, W)`."""
        return None if self.void is None else _unpacked(self.void, self.size)


@dataclass(frozen=True, slots=True)
class GroupParts:
    """The parts of a group.

    Attributes:
        names: of all parts that a picture of the group has, sorted; empty where nothing can be compared.
        truths: of each picture; None for one that nobody annotated: it is factorized with the others, not scored.
        notes: what the user should know.
    """

    names: tuple[str, ...]
    truths: tuple[PartTruth | None, ...]
    notes: tuple[str, ...]


def read_group_parts(group: str, annotated: Sequence[Annotated], sizes: Sequence[Grid]) -> GroupParts:
    """Reads the parts of a group; whole objects where none of its pictures has parts.

    Args:
        group: its name, for notes and errors.
        annotated: its pictures.
        sizes: of the pictures.

    Raises:
        DatasetError: when a mask cannot be read.
    """
    whole = not any(one.parts for one in annotated)
    truths = tuple(_read(one, size, whole) for one, size in zip(annotated, sizes, strict=True))
    names = tuple(sorted({name for truth in truths if truth for name in truth.bits}))
    if not names:
        return GroupParts((), (), (f"{group}: not one of its pictures has a part or a mask; left out",))
    notes = [f"{group}: no part masks, whole objects are taken as one part"] if whole else []
    if missing := truths.count(None):
        notes.append(f"{group}: {counted(missing, 'picture')} without part masks, not scored")
    return GroupParts(names, truths, tuple(notes))


def _read(one: Annotated, size: Grid, whole: bool) -> PartTruth | None:
    truth = one.mask.read(size) if one.mask else None
    void = np.packbits(truth.void) if truth is not None and truth.void.any() else None
    if whole:
        return None if truth is None else PartTruth(size, {WHOLE: np.packbits(truth.on)}, void)
    if one.parts is None:
        return None
    found = one.parts.read(size)
    return PartTruth(size, {shown(n): np.packbits(m) for n, m in zip(found.names, found.masks, strict=True)}, void)


def _unpacked(bits: NDArray[np.uint8], size: Grid) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=size.cells).reshape(size.height, size.width).astype(bool)
