"""R-MAC: maxima over a fixed grid of overlapping squares, added up (Tolias, Sicre, Jegou, ICLR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.errors import UsageError
from dff_onnx.retrieval.pooling import checked, normalized
from dff_onnx.retrieval.whitening import Whitening

OVERLAP = Fraction(2, 5)  # wanted of neighbouring squares of the first level
STEPS = range(1, 7)  # along the longer side


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of cells: rows `y` to `y + height`, columns `x` to `x + width`, the ends not included."""

    y: int
    x: int
    height: int
    width: int


def regions(height: int, width: int, levels: int = 3) -> tuple[Window, ...]:
    """The squares of a grid, level by level, row by row.

    On level l a square's side is `2 min(height, width) / (l + 1)`, and there are l of them along the shorter side.
    Along the longer side there are more, so many that neighbours on the first level overlap by nearly 40 %. The
    division is exact, and of two numbers equally near the smaller counts; the released codes differ there (5 x 9
    cells, say), from each other too, because their floats round.

    Args:
        height, width: in cells.
        levels: of the grid; a level whose squares have no cell is left out.

    Raises:
        UsageError: for figures below 1.

    >>> regions(2, 3, levels=1)
    (Window(y=0, x=0, height=2, width=2), Window(y=0, x=1, height=2, width=2))
    """
    if min(height, width, levels) < 1:
        raise UsageError(f"R-MAC: height, width and levels of at least 1 are needed, found {height}, {width}, {levels}")
    more = _more(min(height, width), max(height, width))
    down, across = (more if height > width else 0), (more if width > height else 0)
    found = []
    for level in range(1, levels + 1):
        side = 2 * min(height, width) // (level + 1)
        rows, columns = _starts(height, side, level + down), _starts(width, side, level + across)
        found += [Window(y, x, side, side) for y in rows for x in columns if side]
    return tuple(found)


def region_vectors(X: Array, windows: Sequence[Window], whitening: Whitening | None = None) -> Array:
    """The maxima inside every window, brought to unit length; whitened, and again, where a whitening is given.

    Args:
        X: `(n, c, h, w)` activations, `>= 0`.
        windows: inside the grid.
        whitening: learnt on such vectors.

    Returns:
        `(n, windows, c)`, or `(n, windows, d)`; a window of zeros has a vector of zeros.

    >>> import numpy as np
    >>> region_vectors(np.array([[[[1.0, 3.0]], [[0.0, 4.0]]]]), [Window(0, 0, 1, 1), Window(0, 0, 1, 2)]).tolist()
    [[[1.0, 0.0], [0.6, 0.8]]]
    """
    X = checked(X)
    xp = namespace_of(X)
    maxima = [xp.max(X[:, :, w.y : w.y + w.height, w.x : w.x + w.width], axis=(2, 3)) for w in windows]
    rows = normalized(xp.reshape(xp.stack(maxima, axis=1), (-1, X.shape[1])))
    rows = rows if whitening is None else whitening(rows)
    return xp.reshape(rows, (X.shape[0], len(windows), -1))


def rmac(X: Array, levels: int = 3, whitening: Whitening | None = None, include_global: bool = False) -> Array:
    """One vector a picture: its region vectors added up, of unit length.

    Args:
        X: `(n, c, h, w)` activations, `>= 0`.
        levels: of the grid.
        whitening: of the region vectors.
        include_global: whether the maxima over the whole grid are added, too, as cirtorch does; the paper does not.

    Returns:
        `(n, c)`, or `(n, d)`.

    >>> import numpy as np
    >>> rmac(np.ones((1, 4, 2, 3))).tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    height, width = X.shape[-2:]
    windows = regions(height, width, levels)
    if include_global:
        windows = (Window(0, 0, height, width), *windows)
    vectors = region_vectors(X, windows, whitening)
    return normalized(namespace_of(vectors).sum(vectors, axis=1))


def _more(shorter: int, longer: int) -> int:
    """How many squares of the first level there are along the longer side, less one, when it is longer."""
    beyond = longer - shorter
    return min(STEPS, key=lambda steps: abs(1 - Fraction(beyond, shorter * steps) - OVERLAP))


def _starts(length: int, side: int, number: int) -> list[int]:
    """Where evenly spread squares begin along one side."""
    return [i * (length - side) // max(number - 1, 1) for i in range(number)]
