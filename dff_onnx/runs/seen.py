"""The pictures that were read: where each lies in the list of files, and how large it is at every stage."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from dff_onnx.records import Grid

FIGURES = 7  # of a picture: its place, and three sizes


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a picture is at every stage.

    Attributes:
        original: size in pixels, after its EXIF turn.
        input: size as the network saw it.
        grid: of its activations.
    """

    original: Grid
    input: Grid
    grid: Grid


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture that was read.

    Attributes:
        path: relative to the folder.
        original: size in pixels, after its EXIF turn.
        input: size as the network saw it.
        grid: of its activations.
    """

    path: Path
    original: Grid
    input: Grid
    grid: Grid


class SeenTable(Sequence[Seen]):
    """The pictures that were read, in 56 bytes each.

    Args:
        paths: of all pictures of the folder.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._figures = array("q")
        self._known: dict[tuple[int, int], Grid] = {}

    def add(self, place: int, figures: Sequence[int]) -> None:
        """One more.

        Args:
            place: of its file among all paths.
            figures: height and width of each of its `Sizes`.
        """
        self._figures.extend((place, *figures))

    def __len__(self) -> int:
        return len(self._figures) // FIGURES

    @overload
    def __getitem__(self, index: int) -> Seen: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Seen, ...]: ...
    def __getitem__(self, index: int | slice) -> Seen | tuple[Seen, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        start = range(len(self))[index] * FIGURES
        place, *figures = self._figures[start : start + FIGURES]
        return Seen(self._paths[place], *(self._grid(*figures[i : i + 2]) for i in (0, 2, 4)))

    def __iter__(self) -> Iterator[Seen]:
        return (self[i] for i in range(len(self)))

    def _grid(self, height: int, width: int) -> Grid:
        """Equal sizes are one record."""
        return self._known.setdefault((height, width), Grid(height, width))
