"""What every reader of a data set gives: groups of pictures with what is known of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.records import Box, Grid

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Where the object is in one picture. It may be nowhere: such a picture has no box, and counts in IoU alone.

    Attributes:
        on: `(H, W)`, pixels of the object.
        void: `(H, W)`, pixels that count neither for nor against a mask; never on.
    """

    on: Mask
    void: Mask

    def box(self) -> Box | None:
        """The tight box around everything that is on; None where nothing is.

        >>> on = np.array([[0, 0, 0], [0, 1, 1]], bool)
        >>> Truth(on, np.zeros_like(on)).box()
        Box(x0=1, y0=1, x1=3, y1=2)
        """
        return box_around(self.on)


@dataclass(frozen=True, slots=True, eq=False)
class PartMasks:
    """Where an object's parts are in one picture. Parts may overlap.

    Attributes:
        names: of the parts that are annotated in this picture, no two alike.
        masks: `(p, H, W)`, one for each name.
    """

    names: tuple[str, ...]
    masks: Mask


class MaskSource(Protocol):
    """A mask that is read when it is asked for."""

    def read(self, size: Grid) -> Truth:
        """The mask of a picture of that size; raises `DatasetError` where there is none that fits."""


class PartSource(Protocol):
    """Part masks that are read when they are asked for."""

    def read(self, size: Grid) -> PartMasks:
        """The parts in a picture of that size; raises `DatasetError` where they cannot be read or do not fit."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """One picture of a group with what is known of it.

    Attributes:
        picture: the file; it is there, but nobody looked inside.
        size: as the annotation says; None where it does not.
        boxes: around the objects of the group's class; empty where only a mask is known.
        mask: of all objects of the group's class together.
        parts: of these objects.
    """

    picture: Path
    size: Grid | None = None
    boxes: tuple[Box, ...] = ()
    mask: MaskSource | None = None
    parts: PartSource | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that share a class. A picture with objects of two classes is in two groups."""

    name: str
    pictures: tuple[Annotated, ...]


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a reader found.

    Attributes:
        name: of the set, for the head of a table.
        groups: none of them empty.
        notes: sentences a user should see: what was left out, and by which rule.
    """

    name: str
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def box_around(mask: Mask) -> Box | None:
    """The tight half-open box around what is on in an `(H, W)` mask; None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def clipped(box: Box, size: Grid) -> Box | None:
    """The part of a box that lies in a picture; None where no pixel does.

    >>> clipped(Box(-2, 1, 5, 9), Grid(4, 6))
    Box(x0=0, y0=1, x1=5, y1=4)
    """
    x0, y0 = max(box.x0, 0), max(box.y0, 0)
    x1, y1 = min(box.x1, size.width), min(box.y1, size.height)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def names_held(names: Collection[str], words: Sequence[str]) -> set[str]:
    """The names that are meant: for each word its full name, else all that hold it, cases apart.

    Raises:
        UsageError: when a word is empty or fits none.

    >>> sorted(names_held(["red cats", "cats", "dogs"], ["cats", "DOG"]))
    ['cats', 'dogs']
    """
    kept: set[str] = set()
    for word in words:
        if not word:
            raise UsageError("--groups: holds an empty word; give words that the groups' names hold, with commas")
        fitting = {word} & set(names) or {name for name in names if word.casefold() in name.casefold()}
        if not fitting:
            there = ", ".join(name if name.isprintable() else ascii(name) for name in sorted(names)[:8])
            more = ", ..." if len(names) > 8 else ""
            raise UsageError(f"--groups: no group holds the word {word[:80]!r}; there are {there[:400]}{more}")
        kept |= fitting
    return kept


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun.

    >>> counted(1, "picture"), counted(2, "mask"), counted(2, "box", "boxes")
    ('1 picture', '2 masks', '2 boxes')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
