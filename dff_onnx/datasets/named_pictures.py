"""Pictures that a ground truth names without folder or suffix, and the boxes of its queries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.datasets.dataset import clipped
from dff_onnx.datasets.paths import pictures_below
from dff_onnx.errors import DatasetError, ImageError
from dff_onnx.images import read_size
from dff_onnx.records import Box

FARTHEST = 1e6  # pixels
OVER = 1  # pixels by which a box may leave its picture: corners are counted from 0 or from 1


@dataclass(frozen=True, slots=True)
class NamedPictures:
    """The pictures below a folder by their names without folder and suffix.

    Attributes:
        root: the folder.
        paths: of each name, in the order of the names.
    """

    root: Path
    paths: Mapping[str, Path]

    def of(self, name: str, source: Path) -> Path:
        """The picture of a name that some file has.

        Raises:
            DatasetError: when there is none.
        """
        if name not in self.paths:
            raise DatasetError(
                f"{source}: names {name[:80]!r}, and no such picture is below {self.root}; fetch the pictures again"
            )
        return self.paths[name]


def named_pictures(root: Path) -> NamedPictures:
    """Looks for pictures in a folder and all below it.

    Raises:
        DatasetError: when there are none, or two share a name.
    """
    found: dict[str, Path] = {}
    for path in pictures_below(root):
        if path.stem in found:
            raise DatasetError(f"{root}: {found[path.stem]} and {path} have one name; take one of them away")
        found[path.stem] = path
    return NamedPictures(root, {name: root / found[name] for name in sorted(found)})


def query_names(names: Sequence[str]) -> list[str]:
    """Names of queries by their pictures; one picture may ask for two things.

    >>> query_names(["a", "b", "a"])
    ['a', 'b', 'a (2)']
    """
    found: dict[str, None] = {}
    times: dict[str, int] = {}
    for name in names:
        unlike = name
        while unlike in found:
            times[name] = times.get(name, 1) + 1
            unlike = f"{name} ({times[name]})"
        found[unlike] = None
    return list(found)


def query_box(corners: Sequence[float], picture: Path, source: Path) -> Box:
    """The whole pixels nearest to `x1 y1 x2 y2`, checked against the size of the picture, and clipped to it.

    Some evaluators took the four figures of these sets for `x y width height`; boxes then leave the pictures, and so
    would those of a file that really has such. A box may leave its picture by a pixel.

    Args:
        corners: as the ground truth has them, floats.
        picture: only its size is read; a picture that has none is checked by whoever reads its pixels.
        source: the ground truth, for the message.

    Raises:
        DatasetError: when the box is empty or does not fit.
    """
    told = " ".join(f"{corner:g}" for corner in corners)
    if len(corners) != 4 or not all(math.isfinite(c) and abs(c) <= FARTHEST for c in corners):
        raise DatasetError(f"{source}: the box of {picture.name} is {told[:80] or 'empty'}, and x1 y1 x2 y2 are needed")
    box = Box(*map(round, corners))
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise DatasetError(
            f"{source}: the box {told} of {picture.name} ends before it begins; x1 y1 x2 y2 are needed, not x y width "
            "height"
        )
    try:
        size = read_size(picture)
    except ImageError:
        return box
    if min(box.x0, box.y0) < -OVER or box.x1 > size.width + OVER or box.y1 > size.height + OVER:
        raise DatasetError(
            f"{source}: the box {told} leaves {picture.name}, which has {size.width}x{size.height} pixels; x1 y1 x2 y2 "
            "are needed, not x y width height, and the picture at its own size"
        )
    inside = clipped(box, size)
    if inside is None:
        raise DatasetError(f"{source}: the box {told} has no pixel of {picture.name}; correct it")
    return inside
