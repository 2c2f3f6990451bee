"""What comes of comparing a compiled file with the Python pipeline, output by output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.deploy.metadata import Compiled
from dff_onnx.maps import mask
from dff_onnx.report.found import Failure
from dff_onnx.runs.reference import boxes_of

AT_THRESHOLD = 1e-5  # a mask, and with it a box, may differ where a value lies so near
STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Compared:
    """One output beside what Python says.

    Attributes:
        output: its name.
        largest: difference, relative to the largest value where that exceeds 1; of boxes how many differ that may not.
        allowed: more is wrong; None where it is told and not judged.
        where: the picture of the largest difference.
        note: what else there is to say.
        differ, of: how many boxes differ, all told.
    """

    output: str
    largest: float
    allowed: float | None
    where: str = ""
    note: str = ""
    differ: int = 0
    of: int = 0

    @property
    def good(self) -> bool:
        """Whether it is as it should be; what is no number is not."""
        return self.allowed is None or self.largest <= self.allowed


@dataclass(frozen=True, slots=True)
class Verified:
    """A compiled file beside the Python pipeline.

    Attributes:
        about: what the file says of itself.
        pictures: how many both saw.
        compared: outputs, in the file's order.
        failures: pictures that could not be read.
    """

    about: Compiled
    pictures: int
    compared: tuple[Compared, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every output is as it should be."""
        return all(one.good for one in self.compared)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        rows = [asdict(one) | {"good": one.good} for one in self.compared]
        for row in rows:  # JSON has no word for what is no number
            row["largest"] = row["largest"] if math.isfinite(row["largest"]) else None
        failures = [asdict(one) for one in self.failures]
        return {"good": self.good, "pictures": self.pictures, "outputs": rows, "failures": failures}


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest, relative to the largest value where that exceeds 1."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max(initial=0) / max(1.0, float(np.abs(expected).max(initial=0))))


def worst_of(rows: Sequence[Compared]) -> Compared:
    """Of all pictures: the largest difference; of boxes, how many there are in all."""
    worst = max(rows, key=lambda one: (not one.good, one.largest))
    if not worst.of:
        return worst
    wrong, differ, of = (
        sum(values) for values in zip(*((one.largest, one.differ, one.of) for one in rows), strict=True)
    )
    note = f"{int(differ)} of {int(of)} differ"
    if differ > wrong:
        note += f", {int(differ - wrong)} with a value at the threshold"
    where = worst.where if differ else ""
    return Compared(worst.output, wrong, 0.0, where, note, int(differ), int(of))


def may_be(
    boxes: NDArray[np.int32],
    maps: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    largest: bool,
    near: float = AT_THRESHOLD,
) -> NDArray[np.bool_]:
    """Which boxes `(m, 4)` are those of maps `(m, height, width)` whose values may be off by `near`.

    Where that is little, they are the boxes at a threshold that is off as much. Where it is more, other pixels may
    come in between: boxes then lie within that of all that may be on, and those of whole masks around what must be.

    Args:
        boxes: as a file gives them.
        maps, thresholds: as Python has them.
        largest: of the largest region, or of the whole mask.
        near: as above.

    >>> maps, thresholds = np.array([[[0.1, 0.5, 0.50002]]], np.float32), np.array([0.50001], np.float32)
    >>> [bool(may_be(np.array([box]), maps, thresholds, True)[0]) for box in ([1, 0, 3, 1], [2, 0, 3, 1], [0, 0, 3, 1])]
    [True, True, False]
    """

    def at(step: float, of_region: bool) -> NDArray[np.int32]:
        return boxes_of(mask(maps, thresholds + np.float32(near * step)), of_region)

    same = np.any([(boxes == at(step, largest)).all(axis=-1) for step in STEPS], axis=0)
    if near <= AT_THRESHOLD:
        return np.asarray(same)
    inside = _within(boxes, at(-1, False)) & (largest | _within(at(1, False), boxes))
    return np.asarray(same | inside)


def _within(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which boxes lie within the others; an empty one lies within all."""
    empty = one[:, 2] <= one[:, 0]
    return np.asarray(empty | ((one[:, :2] >= other[:, :2]) & (one[:, 2:] <= other[:, 2:])).all(axis=-1))
