"""Class activation maps: `M_c = sum_k w_k^c A_k` (Zhou et al., CVPR 2016), for the classes wanted of each picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.linear_head import LinearHead


def class_maps(A: Array, head: LinearHead, classes: NDArray[np.intp]) -> Array:
    """The maps of some classes of each picture.

    Args:
        A: `(n, h, w, c)` activations.
        head: of the network.
        classes: `(n, m)` numbers of classes, on the host.

    Returns:
        `(n, m, h, w)`: without the bias, which says nothing of places, unless the head is rectified.

    >>> head = LinearHead(np.array([[1.0, -1.0], [0.0, 2.0]]), np.zeros(2))
    >>> class_maps(np.array([[[[3.0, 1.0]]]]), head, np.array([[1, 0]])).tolist()
    [[[[2.0]], [[2.0]]]]
    """
    xp = namespace_of(A)
    n, h, w, c = A.shape
    weights = like(to_numpy(head.weights)[classes], A)
    values = weights @ xp.matrix_transpose(xp.reshape(A, (n, h * w, c)))
    if head.rectified:
        values = values + xp.expand_dims(like(to_numpy(head.bias)[classes], A), axis=2)
        values = xp.maximum(values, xp.zeros_like(values))
    return xp.reshape(values, (n, classes.shape[1], h, w))


def ranked_classes(scores: NDArray[np.floating[Any]], count: int) -> NDArray[np.intp]:
    """The classes of the highest scores, highest first; of equal ones the lower number.

    Args:
        scores: `(n, classes)` on the host.
        count: how many of each picture; all where there are fewer.

    Returns:
        `(n, min(count, classes))`.

    >>> ranked_classes(np.array([[1.0, 3.0, 3.0]], np.float32), 2).tolist()
    [[1, 2]]
    """
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Softmax over the classes, `(n, classes)`; of a single class the logistic function: it against nothing.

    >>> probabilities(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    if scores.shape[1] == 1:
        return probabilities(np.concatenate([scores, np.zeros_like(scores)], axis=1))[:, :1]
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def class_weights(W: Array, head: LinearHead) -> Array:
    """What the head says to each concept, by itself: `(k, c)` -> `(k, classes)`; the bias as in `class_maps`.

    Args:
        W: concepts, each as strong as it is to be asked about: the concept times its peak says what the class map is
            where nothing but this concept is seen at its strongest.
        head: of the network.

    >>> class_weights(np.array([[0.6, 0.8]]), LinearHead(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones(2))).tolist()
    [[0.6, 0.8]]
    """
    return head.maps(W)
