"""What a system found in a group: a box and a mask of each picture, however it was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.cam.boxes import FRACTION, largest_box, map_thresholds
from dff_onnx.cam.vote import Vote
from dff_onnx.evaluation.group_classes import Voted
from dff_onnx.evaluation.systems import ClassSettings
from dff_onnx.maps import Threshold, mask, regions_at, set_thresholds, upsample
from dff_onnx.records import Box
from dff_onnx.runs.collect import Collected
from dff_onnx.runs.discovery import Discovery

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Located:
    """Where one system sees the object, in the order of a group's pictures.

    Attributes:
        boxes: around the largest region; None where the mask is empty.
        mask: makes the mask of a picture, `(height, width)`, at the picture's own size.
        vote: for the class whose maps these are; None where no class was asked for.
    """

    boxes: tuple[Box | None, ...]
    mask: Callable[[int], Mask]
    vote: Vote | None = None


def by_concept(found: Discovery) -> Located:
    """By the first concept."""

    def first(index: int) -> Mask:
        on: Mask = found.masks(index)[0]
        return on

    return Located(tuple(image.concepts[0].box for image in found.images), first)


def by_class(group: Voted, rows: Collected, settings: ClassSettings) -> Located:
    """By the maps of a group's class.

    Args:
        group: the class, and its maps.
        rows: of the group.
        settings: how masks are cut.
    """
    maps, levels = _cut(group.maps, rows, settings.threshold)
    sizes = [one.original for one in rows.seen]

    def masked(index: int) -> Mask:
        size = sizes[index]
        on: Mask = mask(upsample(maps[index], size.height, size.width), levels[index])[0]
        return on

    with single_threaded_blas():
        found = list(regions_at(zip(maps, levels, sizes, strict=True)))
    return Located(tuple(largest_box(one) for (one,) in found), masked, group.vote)


def _cut(
    maps: Sequence[NDArray[np.float32]], rows: Collected, threshold: Threshold | None
) -> tuple[Sequence[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Maps `(1, h, w)`, and the threshold `(1,)` of each: its own, or one for the group.

    For the group's, what speaks against the class becomes zero: concepts, whose protocol this is, hold nothing below.
    """
    if threshold is None:
        return maps, [map_thresholds(one, seen.original, FRACTION) for one, seen in zip(maps, rows.seen, strict=True)]
    clipped = [np.maximum(one, 0) for one in maps]
    H = np.concatenate([one.reshape(-1, 1) for one in clipped])
    return clipped, [set_thresholds(H, rows.grids, rows.inputs, threshold)] * len(clipped)
