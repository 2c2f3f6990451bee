"""Several arrays of each picture as rows that are gathered: one column of values, the shapes as figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.runs.gather import Block, Gathered

Floats = NDArray[np.float32]


def packed(pictures: Sequence[Sequence[Floats]]) -> Block:
    """Of a few pictures, whose arrays may have any shapes.

    >>> block = packed([[np.ones((2, 3), np.float32), np.ones(4, np.float32)]])
    >>> block.rows.shape, block.figures
    ((10, 1), [[[2, 3], [4]]])
    """
    flat = [array.reshape(-1, 1) for arrays in pictures for array in arrays]
    return Block(np.concatenate(flat), figures=[[list(array.shape) for array in arrays] for arrays in pictures])


def unpacked(rows: Gathered) -> list[list[Floats]]:
    """The arrays of each picture that was read, views of what was gathered."""
    values = rows.matrix()
    column = np.zeros(0, np.float32) if values is None else to_numpy(values)[:, 0]
    found, start = list[list[Floats]](), 0
    for shapes in rows.figures:
        arrays = []
        for shape in shapes:
            size = math.prod(shape)
            arrays.append(column[start : start + size].reshape(shape))
            start += size
        found.append(arrays)
    return found
