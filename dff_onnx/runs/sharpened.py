"""The CRF over a folder: heat maps and pictures in, sharpened maps out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError
from dff_onnx.images import read_original
from dff_onnx.maps import Crf, evidence, sharpen
from dff_onnx.maps.levels import to_levels
from dff_onnx.progress import Progress, followed
from dff_onnx.runs.seen import Seen
from dff_onnx.threads import available_cores, in_order

# Pictures are sharpened at this longer side: twice a usual grid's detail is far below it, and it bounds the memory.
LONG_SIDE = 512
ON = 0.5  # of a sharpened map


def sharpened(
    folder: Path,
    seen: Sequence[Seen],
    heats: Sequence[NDArray[np.float32]],
    thresholds: NDArray[np.float32],
    peaks: NDArray[np.float32],
    crf: Crf | None,
    progress: Progress,
) -> Iterator[NDArray[np.uint8]]:
    """Maps `(k, height, width)` of every picture in order, 0..255, on from 128; none without a CRF.

    A picture that can no longer be read keeps the border that its heat map has.

    Args:
        folder: that the paths are relative to.
        seen: the pictures.
        heats: `(k, h, w)` of each.
        thresholds, peaks: `(k,)` over the set.
        crf: how; None for not at all.
        progress: follows the pictures.
    """
    if crf is None:
        return

    def work(index: int) -> NDArray[np.uint8]:
        strength = evidence(heats[index], thresholds, peaks)
        try:
            pixels = read_original(folder / seen[index].path, LONG_SIDE)
        except ImageError:
            return to_levels(strength / (1 + strength))
        picture = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / 255
        return to_levels(np.asarray(sharpen(strength, picture, crf)))

    progress.start("sharpening", len(seen))
    with single_threaded_blas():
        yield from followed(in_order(range(len(seen)), work, available_cores()), progress)
