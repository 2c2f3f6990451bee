"""The boxes of class maps, by the rule that was chosen, and the guesses they give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.cam.boxes import map_thresholds
from dff_onnx.cam.guesses import Guess, five_box_guesses, top_guesses
from dff_onnx.cam.release import LEVELS, release_boxes
from dff_onnx.maps import MaskFound, regions_at
from dff_onnx.records import Box, Grid, Region
from dff_onnx.runs.cam_settings import CamSettings


@dataclass(frozen=True, slots=True)
class Boxed:
    """One map's mask and boxes.

    Attributes:
        threshold: a value that reaches it is on.
        mask: what is on; its regions are the boxes, the one that is taken first.
    """

    threshold: float
    mask: MaskFound

    @property
    def boxes(self) -> tuple[Box, ...]:
        """In the rule's order."""
        return tuple(region.box for region in self.mask.regions)


def boxed(
    maps: Sequence[NDArray[np.float32]] | NDArray[np.float32], sizes: Sequence[Grid], settings: CamSettings
) -> Iterator[tuple[Boxed, ...]]:
    """Masks and boxes of some pictures' maps.

    Args:
        maps: `(m, h, w)` of each picture.
        sizes: of the pictures in pixels.
        settings: by which rule.

    Returns:
        for each picture an entry a map. The released code's boxes come largest first, and their areas are the boxes'.
    """
    released = settings.box != "paper"
    share = LEVELS[0] / 255 if released else settings.share_of_maximum
    # A map that is nowhere above zero has an empty mask at any threshold.
    levels = [np.maximum(map_thresholds(one, size, share), 0) for one, size in zip(maps, sizes, strict=True)]
    found = regions_at(zip(maps, levels, sizes, strict=True), settings.min_share)
    for one, size, thresholds, masks in zip(maps, sizes, levels, found, strict=True):
        if released:
            masks = tuple(_released(heat, size, mask) for heat, mask in zip(one, masks, strict=True))
        yield tuple(map(Boxed, thresholds.tolist(), masks))


def _released(heat: NDArray[np.float32], size: Grid, mask: MaskFound) -> MaskFound:
    return MaskFound(mask.share, tuple(Region(box, box.area) for box in release_boxes(heat, size)))


def guesses_of(
    classes: Sequence[int], scores: NDArray[np.float64], found: Sequence[Boxed], settings: CamSettings
) -> tuple[Guess, ...]:
    """What a picture is said to show, and where: best first.

    Args:
        classes: that were mapped.
        scores: theirs, by which they are ranked.
        found: an entry a class, or one for all of them.
        settings: by which rule.
    """
    ranked = np.argsort(-scores, kind="stable").tolist()
    boxes = [found[i if len(found) > 1 else 0].boxes for i in ranked]
    numbers = [classes[i] for i in ranked]
    if settings.box == "heuristic":
        return tuple(five_box_guesses(numbers, boxes))
    return tuple(top_guesses(numbers, [one[0] if one else None for one in boxes]))
