"""Memory-mapped files: what was read once need not stay in memory."""

from __future__ import annotations

import mmap

import numpy as np

from dff_onnx.arrays.namespace import Array


def forget_pages(array: Array) -> None:
    """Lets go of the pages of a mapped file that were read; they are read again when they are wanted again.

    Does nothing for other arrays, and where the system has no `madvise`. A private mapping that was written to is
    left alone: its pages exist nowhere else.
    """
    if not isinstance(array, np.memmap) or array.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    below = array.base
    while below is not None and not isinstance(below, mmap.mmap):
        below = getattr(below, "base", None)
    if below is not None:
        below.madvise(mmap.MADV_DONTNEED)
