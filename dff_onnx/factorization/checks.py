"""Ranks that cannot be are refused here, with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from dff_onnx.errors import UsageError


def checked_rank(k: Any, shape: tuple[int, int] | None) -> int:
    """`k` as an int that a matrix of this shape can have; None where it is not known yet.

    Raises:
        UsageError: for anything else.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise UsageError(f"k: a whole number of concepts is needed, found {k!r}")
    if k < 1:
        raise UsageError(f"k: at least one concept is needed, found {k}")
    rows, channels = shape or (k, k)
    if k > min(rows, channels):
        raise UsageError(
            f"k: {k} concepts are more than {rows} rows and {channels} channels allow; "
            f"take at most {min(rows, channels)}"
        )
    return int(k)
