"""Score-CAM: channels weighted by what a network says of each alone; no gradient is needed.

Wang et al.: "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks" (CVPR Workshops 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.arrays.helpers import like, zeros_like_with
from dff_onnx.cam.perturbed import ScoresOf, of_classes, scores_when_changed, scores_without_change

BATCH = 64


def score_weights(A: Array, tail: ScoresOf, classes: NDArray[np.intp], batch: int = BATCH) -> Array:
    """Each channel, brought to 0..1, masks the features; the weights are a softmax over what the scores then gain.

    The published method widens each channel to the picture's size, masks the *picture* and runs the whole network, c
    times for each picture. Here the *features* are masked and only the tail runs. That is faster by as much as the
    tail is shorter, but the features of a masked place are then zero, not what the network makes of black pixels, and
    a mask changes nothing of what neighbours of a place saw. Gains are over features of zero, in place of a black
    picture; they are of scores before any softmax. A channel that is the same everywhere masks all.

    Args:
        A: `(n, h, w, c)` activations.
        tail: `(n, c, h, w)` features -> `(n, classes)` scores.
        classes: `(n, m)` numbers of classes, on the host; all classes of a picture share its runs.
        batch: masked features of one call, fewer where they are large.

    Returns:
        `(n, m, c)`; they sum to 1 over the channels. `gradient_map` makes maps of them.

    Raises:
        ArrayError: when the classes do not fit the pictures or the tail.

    >>> import numpy as np
    >>> A = np.array([[[[1.0, 0.0], [0.0, 1.0]]]])
    >>> left = lambda features: features[:, :, 0, 0]
    >>> score_weights(A, left, np.array([[0]])).round(2).tolist()
    [[[0.73, 0.27]]]
    """
    xp = namespace_of(A)
    empty = scores_without_change(zeros_like_with((1, *A.shape[1:]), A), tail)
    baseline = of_classes(np.repeat(empty, A.shape[0], axis=0), classes)

    def masked(picture: Array, channels: list[int]) -> Array:
        return xp.stack([xp.expand_dims(_mask(picture[..., k]), axis=2) * picture for k in channels])

    gains = scores_when_changed(A, tail, classes, masked, baseline, batch) - baseline[:, :, None]
    shares = np.exp(gains - gains.max(axis=2, keepdims=True))
    return like(shares / shares.sum(axis=2, keepdims=True), A)


def _mask(channel: Array) -> Array:
    """Brought to 0..1, or all zero where it has one value only."""
    xp = namespace_of(channel)
    least = xp.min(channel)
    spread = xp.max(channel) - least
    return (channel - least) / xp.where(spread > 0, spread, xp.ones_like(spread))
