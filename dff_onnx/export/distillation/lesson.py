"""What the student sees, and what it is to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.export.distillation.crops import Pixels
from dff_onnx.export.distillation.teacher import Features

# Photographs whose whole pictures tell which channels are strong, and where to cut.
SURVEY = 256

Pair = tuple[int, int]


@dataclass(frozen=True)
class Lesson:
    """Crops of photographs, and the answers to them.

    An answer is the teachers' directions side by side, times the geometric mean of the energy teachers' lengths, cut
    off below.

    Attributes:
        pixels: `(photographs, crops, size, size, 3)` uint8.
        directions: of each teacher `(photographs, crops, c, h, w)` float16.
        lengths: of each energy teacher `(photographs, crops, h, w)`.
        usable: which photographs could be read.
        held_out: which are for validation.
        threshold: what is subtracted from answers before those below 0 become 0.
        gain: what then makes their mean square 1.
    """

    pixels: Pixels
    directions: tuple[NDArray[np.float16], ...]
    lengths: tuple[NDArray[np.float32], ...]
    usable: NDArray[np.bool_]
    held_out: NDArray[np.bool_]
    threshold: float = 0.0
    gain: float = 1.0

    def of(self, pairs: Sequence[Pair]) -> tuple[Pixels, Features]:
        """Pixels `(n, size, size, 3)` and answers `(n, channels, h, w)` of crops, given as (photograph, crop)."""
        answers = np.stack([np.concatenate([d[pair] for d in self.directions]) for pair in pairs]).astype(np.float32)
        factors = [np.stack([lengths[pair] for pair in pairs]) for lengths in self.lengths]
        answers *= np.prod(factors, axis=0)[:, None] ** np.float32(1 / len(factors))
        answers = np.maximum(answers - np.float32(self.threshold), 0) * np.float32(self.gain)
        return np.stack([self.pixels[pair] for pair in pairs]), answers

    def sparse(self, share: float) -> Lesson:
        """The same, where so large a share of the answers is 0; told by the whole pictures that are learned from."""
        learned = np.flatnonzero(self.usable & ~self.held_out)
        _, sample = replace(self, threshold=0.0, gain=1.0).of([(int(i), 0) for i in _spread(learned)])
        threshold = float(np.quantile(sample, share))
        power = float(np.square(np.maximum(sample - np.float32(threshold), 0)).mean())
        if not power:
            raise UsageError("the teachers answer nothing on these photographs")
        return replace(self, threshold=threshold, gain=power**-0.5)


def _spread(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return indices[:: max(1, len(indices) // SURVEY)]


def held_out(photographs: int, count: int) -> NDArray[np.bool_]:
    """Which photographs are kept for validation: `count` of them, evenly over the sorted folder.

    >>> held_out(10, 2).nonzero()[0].tolist()
    [2, 7]
    """
    if not 0 < count < photographs:
        raise UsageError(f"held-out: {count} of {photographs} photographs; some must be left to learn from")
    found = np.zeros(photographs, np.bool_)
    found[((np.arange(count) + 0.5) * photographs / count).astype(int)] = True
    return found
