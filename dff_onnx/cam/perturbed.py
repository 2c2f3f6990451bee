"""What a tail says when one channel of a picture's features is changed: the runs that Score- and Ablation-CAM share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.errors import ArrayError

# Features `(n, c, h, w)` -> scores `(n, classes)`, before any softmax.
ScoresOf = Callable[[Array], Array]
# One picture `(h, w, c)` and some of its channels -> as many pictures `(channels, h, w, c)`.
Changed = Callable[[Array, list[int]], Array]
# Numbers that the changed features of one call may be: 64 MB in float32.
MOST_NUMBERS = 2**24


def scores_without_change(A: Array, tail: ScoresOf) -> NDArray[np.float64]:
    """The scores of the pictures as they are, `(n, classes)` on the host."""
    xp = namespace_of(A)
    return to_numpy(tail(xp.permute_dims(A, (0, 3, 1, 2)))).astype(np.float64)


def scores_when_changed(
    A: Array, tail: ScoresOf, classes: NDArray[np.intp], changed: Changed, rest: NDArray[np.float64], batch: int
) -> NDArray[np.float64]:
    """The scores of some classes of each picture, one channel after the other changed.

    Channels that are zero everywhere are not run.

    Args:
        A: `(n, h, w, c)` activations.
        tail: of the network.
        classes: `(n, m)` numbers of classes, on the host.
        changed: makes the features of one call.
        rest: `(n, m)` the scores for channels that are zero everywhere.
        batch: features of one call, fewer where they are large.

    Returns:
        `(n, m, c)`, on the host.

    Raises:
        ArrayError: when the classes do not fit the pictures or the tail.
    """
    xp = namespace_of(A)
    n, h, w, c = A.shape
    found = np.repeat(rest[:, :, None], c, axis=2)
    alive = to_numpy(xp.any(A != 0, axis=(1, 2)))
    size = max(1, min(batch, MOST_NUMBERS // max(h * w * c, 1)))
    for i in range(n):
        for channels in _parts(np.flatnonzero(alive[i]).tolist(), size):
            scores = to_numpy(tail(xp.permute_dims(changed(A[i, ...], channels), (0, 3, 1, 2))))
            found[i][:, channels] = scores[:, classes[i]].T
    return found


def of_classes(scores: NDArray[np.float64], classes: NDArray[np.intp]) -> NDArray[np.float64]:
    """The scores `(n, m)` of the classes `(n, m)` that are wanted of each picture.

    Raises:
        ArrayError: when the classes do not fit the pictures or the tail.
    """
    if classes.ndim != 2 or len(classes) != len(scores):
        raise ArrayError(f"classes: (n, m) numbers for {len(scores)} pictures are needed, found {classes.shape}")
    if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) < scores.shape[1]:
        raise ArrayError(f"classes: the tail has 0 to {scores.shape[1] - 1}, not {classes.min()} to {classes.max()}")
    return np.take_along_axis(scores, classes, axis=1)


def _parts(channels: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(channels), size):
        yield channels[start : start + size]
