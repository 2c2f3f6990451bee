"""Photographs with classes: one folder for each class, its name is the class's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.export.distillation.lesson import held_out as evenly
from dff_onnx.files import printable, walk_pictures


@dataclass(frozen=True)
class Photographs:
    """What a folder of folders holds.

    Attributes:
        root: the folder.
        paths: of the pictures, relative to it, sorted.
        classes: names of its folders, sorted.
        labels: the class of each picture, by number.
        held_out: which pictures are not learned from.
    """

    root: Path
    paths: tuple[Path, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    held_out: NDArray[np.bool_]


def read_photographs(folder: Path, share: float) -> Photographs:
    """Walks through a folder that has a folder for each class; pictures may lie deeper in it.

    Args:
        folder: the root.
        share: of each class's pictures that are held out: at least one, and one is left.

    Raises:
        UsageError: when a picture lies in no class's folder, there are not two classes, one has not two pictures, or a
            name cannot stand in a line of text.
        NoImagesError: when there are no pictures.
    """
    if folder.is_file():
        raise UsageError(f"{folder}: is a file; give a folder that has a folder of pictures for each class")
    paths = walk_pictures(folder)
    if stray := [path for path in paths if len(path.parts) < 2]:
        raise UsageError(
            f"{folder}: {len(stray)} pictures lie in no class's folder ({printable(stray[0])!r}); every class needs a "
            "folder of its own"
        )
    names = sorted({path.parts[0] for path in paths}, key=os.fsencode)
    if len(names) < 2:
        raise UsageError(
            f"{folder}: holds one folder of pictures, {printable(Path(names[0]))!r}; two classes are needed"
        )
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[path.parts[0]] for path in paths], np.int64)
    classes = tuple(_checked(folder, name) for name in names)
    return Photographs(folder, tuple(paths), classes, labels, _held_out(folder, classes, labels, share))


def _checked(folder: Path, name: str) -> str:
    text = printable(Path(name))
    if not text.isprintable():
        raise UsageError(f"{folder}: the folder {text!r} is the name of a class, and cannot stand in a line; rename it")
    return text


def _held_out(
    folder: Path, classes: tuple[str, ...], labels: NDArray[np.int64], share: float
) -> NDArray[np.bool_]:  # fmt: skip
    found = np.zeros(len(labels), np.bool_)
    for number, name in enumerate(classes):
        members = np.flatnonzero(labels == number)
        if len(members) < 2:
            raise UsageError(f"{folder}: class {name!r} has one picture; two are needed, one of them to be held out")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        found[members[evenly(len(members), count)]] = True
    return found
