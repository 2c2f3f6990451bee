"""Grad-CAM: channels weighted by how a class's score moves with them.

Selvaraju et al.: "Grad-CAM: Visual Explanations from Deep Networks via Gradient-Based Localization" (ICCV 2017).
The gradients come from a network's own tail (a second ONNX file), or here from the weights of a linear head.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.linear_head import LinearHead, pooled, unit_length


def gradient_weights(gradients: Array) -> Array:
    """`alpha_k`, the mean over the places: `(n, h, w, c)` -> `(n, c)`.

    Args:
        gradients: of each picture's score before any softmax, with respect to its activations.

    >>> import numpy as np
    >>> gradient_weights(np.array([[[[1.0], [3.0]]]])).tolist()
    [[2.0]]
    """
    return namespace_of(gradients).mean(gradients, axis=(1, 2))


def gradient_map(A: Array, weights: Array) -> Array:
    """`relu(sum_k alpha_k A_k)`: where the picture speaks for a class.

    Args:
        A: `(n, h, w, c)` activations.
        weights: `(n, c)`, or `(n, m, c)` for m classes of each picture: of Grad-CAM, Score-CAM or Ablation-CAM.

    Returns:
        `(n, h, w)`, or `(n, m, h, w)`.

    >>> import numpy as np
    >>> gradient_map(np.array([[[[1.0, 2.0], [2.0, 1.0]]]]), np.array([[1.0, -1.0]])).tolist()
    [[[0.0, 1.0]]]
    """
    xp = namespace_of(A, weights)
    n, h, w, c = A.shape
    stacked = weights if weights.ndim == 3 else xp.expand_dims(weights, axis=1)
    values = stacked @ xp.matrix_transpose(xp.reshape(A, (n, h * w, c)))
    maps = xp.reshape(xp.maximum(values, xp.zeros_like(values)), (n, stacked.shape[1], h, w))
    return maps if weights.ndim == 3 else maps[:, 0, ...]


def head_gradient(A: Array, head: LinearHead, classes: NDArray[np.intp]) -> Array:
    """The gradient of the scores of a linear head, exactly; no file of gradients is needed for it.

    Where a maximum is taken at several places the first counts, as in PyTorch's poolings.

    Args:
        A: `(n, h, w, c)` activations.
        head: of the network.
        classes: `(n,)` one class a picture, on the host.

    Returns:
        `(n, h, w, c)`.

    >>> import numpy as np
    >>> head = LinearHead(np.array([[4.0, -2.0]]), np.zeros(1))
    >>> head_gradient(np.ones((1, 1, 2, 2)), head, np.array([0])).tolist()
    [[[[2.0, -1.0], [2.0, -1.0]]]]
    """
    xp = namespace_of(A)
    n, h, w, c = A.shape
    rows = xp.reshape(A, (n, h * w, c))
    weights = like(to_numpy(head.weights)[classes], A)
    if head.rectified:
        bias = like(to_numpy(head.bias)[classes], A)
        values = xp.sum(rows * weights[:, None, :], axis=2) + bias[:, None]
        places = xp.astype(values > 0, A.dtype) * _shares(values[:, :, None], head)[:, :, 0]
        gradients = places[:, :, None] * weights[:, None, :]
    else:
        if head.unit:
            weights = _through_unit_length(pooled(A, head.pool), weights)
        gradients = _shares(rows, head) * weights[:, None, :]
    return xp.reshape(gradients, (n, h, w, c))


def head_weights(A: Array, head: LinearHead, classes: NDArray[np.intp]) -> Array:
    """`alpha_k` of several classes of each picture, by a linear head's own gradient.

    Args:
        A: `(n, h, w, c)` activations.
        head: of the network.
        classes: `(n, m)` numbers of classes, on the host.

    Returns:
        `(n, m, c)`.

    >>> import numpy as np
    >>> head_weights(np.ones((1, 1, 2, 1)), LinearHead(np.array([[4.0]]), np.zeros(1)), np.array([[0]])).tolist()
    [[[2.0]]]
    """
    columns = [gradient_weights(head_gradient(A, head, classes[:, i])) for i in range(classes.shape[1])]
    return namespace_of(A).stack(columns, axis=1)


def _shares(values: Array, head: LinearHead) -> Array:
    """`d pool / d values` of `(n, places, c)`; a mean's and a sum's are alike everywhere."""
    xp = namespace_of(values)
    if head.pool == "max":
        order = like(np.arange(values.shape[1]), values, xp.int64)
        first = xp.astype(xp.argmax(values, axis=1, keepdims=True), xp.int64)
        return xp.astype(order[None, :, None] == first, values.dtype)
    return xp.full_like(values, 1 / values.shape[1] if head.pool == "mean" else 1.0)


def _through_unit_length(descriptors: Array, weights: Array) -> Array:
    """`d (w . f/|f|) / d f`: what of the weights is square to the descriptor, over its length."""
    xp, unit = namespace_of(descriptors), unit_length(descriptors)
    lengths = xp.sqrt(xp.sum(descriptors * descriptors, axis=1, keepdims=True))
    along = xp.sum(weights * unit, axis=1, keepdims=True) * unit
    return (weights - along) / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
