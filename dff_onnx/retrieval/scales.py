"""One picture at several sizes: objects are found that are larger or smaller than in the query.

Gordo, Almazan, Revaud, Larlus: "End-to-end learning of deep visual representations for image retrieval" (IJCV 2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from dff_onnx.arrays import Array
from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.records import Grid
from dff_onnx.retrieval.pooling import normalized

SCALES = (1.0, 2**-0.5, 0.5)


def target_sizes(picture: Grid, stride: int, scales: Sequence[float] = SCALES) -> tuple[Grid, ...]:
    """The sizes at which a picture is looked at.

    Sides are cut to whole pixels. A scale that leaves the shorter side below the network's stride, which may leave its
    layer without a cell, is raised until it does not; a size that comes twice is given once.

    Args:
        picture: its size in pixels.
        stride: of the network's layer, in pixels a cell.
        scales: above 0.

    Raises:
        UsageError: for figures that are not positive.

    >>> target_sizes(Grid(100, 200), stride=32)
    (Grid(height=100, width=200), Grid(height=70, width=141), Grid(height=50, width=100))
    >>> target_sizes(Grid(40, 80), stride=32)
    (Grid(height=40, width=80), Grid(height=32, width=64))
    """
    if not scales or min(picture.height, picture.width, stride, *scales) <= 0:
        raise UsageError(f"scales: positive figures are needed, found {picture}, stride {stride}, {tuple(scales)}")
    shorter = min(picture.height, picture.width)
    factors = [max(scale, stride / shorter) for scale in scales]
    return tuple(dict.fromkeys(Grid(_scaled(picture.height, f), _scaled(picture.width, f)) for f in factors))


def over_scales(descriptors: Sequence[Array]) -> Array:
    """Descriptors of the same pictures at several sizes as one: of unit length, added up, of unit length again.

    Args:
        descriptors: `(n, c)` of each size.

    Raises:
        ArrayError: for none, or for shapes that differ.

    >>> import numpy as np
    >>> over_scales([np.array([[9.0, 0.0]]), np.array([[0.0, 1.0]])]).round(4).tolist()
    [[0.7071, 0.7071]]
    """
    shapes = {tuple(one.shape) for one in descriptors}
    if len(shapes) != 1:
        raise ArrayError(f"scales: descriptors (n, c) of one shape are needed, found {sorted(shapes) or 'none'}")
    total = normalized(descriptors[0])
    for one in descriptors[1:]:
        total = total + normalized(one)
    return normalized(total)


def _scaled(side: int, factor: float) -> int:
    # A side that should come out whole may have been rounded to just below it.
    return max(1, math.floor(side * factor * (1 + 1e-12)))
