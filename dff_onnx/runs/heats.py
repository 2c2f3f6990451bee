"""Heat maps picture by picture, from coefficients in memory or in a mapped file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.mapped import forget_pages
from dff_onnx.maps import heat_map, offsets
from dff_onnx.records import Grid

Heat = NDArray[np.float32]
FORGET = 256  # pictures, after which mapped coefficients may leave memory


class Heats(Sequence[Heat]):
    """The heat maps `(k, h, w)` of each picture.

    Args:
        H: `(N, k)` coefficients, picture after picture.
        grids: one for each picture.
    """

    def __init__(self, H: NDArray[np.float32], grids: Sequence[Grid]) -> None:
        self._H, self._grids, self._starts, self._read = H, grids, offsets(grids), 0

    def __len__(self) -> int:
        return len(self._grids)

    @overload
    def __getitem__(self, index: int) -> Heat: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Heat, ...]: ...
    def __getitem__(self, index: int | slice) -> Heat | tuple[Heat, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        grid, start = self._grids[index], self._starts[range(len(self))[index]]
        if not isinstance(self._H, np.memmap):
            return _as_files_hold_it(heat_map(self._H, start, grid))
        rows = np.array(self._H[start : start + grid.cells], subok=False)
        self._read += 1
        if self._read % FORGET == 0:
            forget_pages(self._H)
        return _as_files_hold_it(heat_map(rows, 0, grid))


def _as_files_hold_it(heat: Heat) -> Heat:
    """In order: older releases of NumPy multiply a view otherwise, by the last bit."""
    return np.ascontiguousarray(heat)
