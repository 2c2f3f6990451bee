"""Ablation-CAM: channels weighted by what a score loses without them; no gradient is needed.

Desai & Ramaswamy: "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization"
(WACV 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.cam.perturbed import ScoresOf, of_classes, scores_when_changed, scores_without_change
from dff_onnx.linear_head import LinearHead, pooled

BATCH = 64
# Of the largest loss: what is divided by is no less.
LEAST = 1e-6


def ablation_weights(A: Array, tail: ScoresOf, classes: NDArray[np.intp], batch: int = BATCH) -> Array:
    """`(y - y_k) / |y|`: the share of a score that is lost when channel k is set to zero.

    The paper divides by `y`, which is the same for a positive score. Of a negative one it would turn the map around,
    although scores before a softmax have no zero of their own.

    Args:
        A: `(n, h, w, c)` activations.
        tail: `(n, c, h, w)` features -> `(n, classes)` scores.
        classes: `(n, m)` numbers of classes, on the host; all classes of a picture share its runs.
        batch: features of one call, fewer where they are large.

    Returns:
        `(n, m, c)`; `gradient_map` makes maps of them.

    Raises:
        ArrayError: when the classes do not fit the pictures or the tail.

    >>> import numpy as np
    >>> total = lambda features: features.sum(axis=(2, 3)) @ np.array([[1.0], [2.0]])
    >>> ablation_weights(np.array([[[[2.0, 3.0]]]]), total, np.array([[0]])).tolist()
    [[[0.25, 0.75]]]
    """
    xp = namespace_of(A)
    before = of_classes(scores_without_change(A, tail), classes)

    def without(picture: Array, channels: list[int]) -> Array:
        kept = np.ones((len(channels), 1, 1, picture.shape[2]))
        kept[range(len(channels)), 0, 0, channels] = 0
        return xp.expand_dims(picture, axis=0) * like(kept, picture)

    after = scores_when_changed(A, tail, classes, without, before, batch)
    return like(_shares(before[:, :, None] - after, before), A)


def head_ablation(A: Array, head: LinearHead, classes: NDArray[np.intp]) -> Array:
    """`ablation_weights` for a linear head: `y - y_k` is what the channel adds to the score, so nothing is run.

    A head that rectifies its maps, or takes features of unit length, is asked channel by channel.

    Args:
        A: `(n, h, w, c)` activations.
        head: of the network.
        classes: `(n, m)` numbers of classes, on the host.

    Returns:
        `(n, m, c)`.

    >>> import numpy as np
    >>> head = LinearHead(np.array([[1.0, 2.0]]), np.zeros(1))
    >>> head_ablation(np.array([[[[2.0, 3.0]]]]), head, np.array([[0]])).tolist()
    [[[0.25, 0.75]]]
    """
    if head.rectified or head.unit:
        xp = namespace_of(A)
        return ablation_weights(A, lambda features: head.scores(xp.permute_dims(features, (0, 2, 3, 1))), classes)
    descriptors = to_numpy(pooled(A, head.pool)).astype(np.float64)
    weights = to_numpy(head.weights).astype(np.float64)[classes]
    losses = weights * descriptors[:, None, :]
    bias = to_numpy(head.bias)[classes]
    return like(_shares(losses, losses.sum(axis=2) + bias), A)


def _shares(losses: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses `(n, m, c)` over scores `(n, m)`; a score of next to nothing is taken for a little more."""
    least = np.maximum(LEAST * np.abs(losses).max(axis=2), np.finfo(np.float64).tiny)
    shares: NDArray[np.float64] = losses / np.maximum(np.abs(scores), least)[:, :, None]
    return shares
