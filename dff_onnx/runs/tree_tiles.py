"""The small pictures in a tree: for each concept those that show it best, with its heat map over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError
from dff_onnx.images import prefetch, read_original
from dff_onnx.report.overlays import Pixels, painted
from dff_onnx.report.palette import from_hexadecimal
from dff_onnx.report.tree_svg import SHARP, SIDE, Tile
from dff_onnx.runs.discovery import Discovery

MANY = 2  # of a concept


def tiles_of(levels: Sequence[Discovery]) -> dict[tuple[int, int], tuple[Tile, ...]]:
    """Tiles of every concept, by the place of its level and its number.

    Each picture is read once; one that can no longer be read has no tile.
    """
    chosen = {
        (place, number): best(level, number)
        for place, level in enumerate(levels)
        for number in range(len(level.found.concepts))
    }
    first = levels[0]
    pictures = _read(first.folder, first.paths, sorted({index for some in chosen.values() for index in some}))
    with single_threaded_blas():
        return {
            (place, number): tuple(_tile(levels[place], number, i, pictures[i]) for i in some if i in pictures)
            for (place, number), some in chosen.items()
        }


def best(level: Discovery, number: int) -> tuple[int, ...]:
    """The pictures that show a concept best, strongest first; of equal ones the first, and none that does not."""
    peaks = level.image_peaks[:, number]
    return tuple(int(i) for i in np.argsort(-peaks, kind="stable")[:MANY] if peaks[i] > 0)


def _read(folder: Path, paths: Sequence[Path], wanted: Sequence[int]) -> dict[int, Pixels]:
    def read(index: int) -> Pixels:
        return read_original(folder / paths[index], SHARP * SIDE)

    return {index: found for index, found in prefetch(wanted, read) if not isinstance(found, ImageError)}


def _tile(level: Discovery, number: int, index: int, picture: Pixels) -> Tile:
    concept, image = level.found.concepts[number], level.images[index]
    heat = level.heat_map(index)[number : number + 1] / np.float32(concept.peak or 1)
    drawn = painted(picture, heat, [from_hexadecimal(concept.colour)])
    return Tile(drawn, image.path, image.concepts[number].score)
