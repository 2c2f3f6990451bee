"""The head of a classifier that looks at every place alike: features -> class maps -> pooled scores.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like, row_norms_squared
from dff_onnx.errors import ArrayError

Pool = Literal["mean", "max", "sum"]


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """A linear layer over the channels, and the pooling over the places.

    Where the network is convolution, ReLU, pooling, the layer is the convolution: `S_c = pool(max(w_c . A + b_c, 0))`.
    Everywhere else the pooling may stand before or behind the layer, the answer is the same for a mean:
    `S_c = pool(w_c . A) + b_c`.

    Attributes:
        weights: `(classes, c)` float32.
        bias: `(classes,)` float32.
        pool: of the places.
        rectified: whether a ReLU stands between the layer and the pooling; the bias then belongs to the maps.
        unit: whether pooled features are brought to unit length before the layer (a linear SVM on deep features).
    """

    weights: Array
    bias: Array
    pool: Pool = "mean"
    rectified: bool = False
    unit: bool = False

    def __post_init__(self) -> None:
        if self.rectified and self.unit:
            raise ArrayError("head: a rectified head pools class maps, and has no features to bring to unit length")
        if self.weights.ndim != 2 or tuple(self.bias.shape) != tuple(self.weights.shape[:1]):
            raise ArrayError(
                f"head: weights (classes, c) and bias (classes,) are needed, found {tuple(self.weights.shape)} and "
                f"{tuple(self.bias.shape)}"
            )

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.weights.shape[0])

    @property
    def channels(self) -> int:
        """Of the features."""
        return int(self.weights.shape[1])

    def only(self, classes: Sequence[int]) -> LinearHead:
        """The head of some classes alone, numbered from 0.

        >>> LinearHead(np.eye(3), np.arange(3.0)).only([2, 0]).bias.tolist()
        [2.0, 0.0]
        """
        chosen = np.asarray(classes, np.intp)
        return replace(self, weights=to_numpy(self.weights)[chosen], bias=to_numpy(self.bias)[chosen])

    def maps(self, rows: Array) -> Array:
        """What each place says for all classes: `M_c = w_c . A` (CAM), without the bias where it is not rectified.

        Args:
            rows: `(..., c)` features, channels last.

        Returns:
            `(..., classes)`, the type of `rows`.

        >>> head = LinearHead(np.array([[1.0, -1.0], [0.0, 2.0]]), np.zeros(2))
        >>> head.maps(np.array([[3.0, 1.0]])).tolist()
        [[2.0, 2.0]]
        """
        xp = namespace_of(rows)
        weights, bias = (like(to_numpy(held), rows) for held in (self.weights, self.bias))
        # As one matrix: products of stacks are one small product after the other.
        values = xp.reshape(rows, (-1, rows.shape[-1])) @ xp.matrix_transpose(weights)
        if self.rectified:
            values = xp.maximum(values + bias, xp.zeros_like(bias))
        return xp.reshape(values, (*rows.shape[:-1], weights.shape[0]))

    def scores(self, features: Array) -> Array:
        """The scores of pictures, before any softmax.

        Args:
            features: `(n, h, w, c)`.

        Returns:
            `(n, classes)`.

        >>> head = LinearHead(np.array([[1.0], [-1.0]]), np.array([0.0, 5.0]))
        >>> head.scores(np.array([[[[1.0], [3.0]]]])).tolist()
        [[2.0, 3.0]]
        """
        if self.rectified:
            return pooled(self.maps(features), self.pool)
        return self.of_pooled(pooled(features, self.pool))

    def of_pooled(self, descriptors: Array) -> Array:
        """The scores of features that were pooled before, `(n, c)` -> `(n, classes)`; not for a rectified head."""
        xp = namespace_of(descriptors)
        weights, bias = (like(to_numpy(held), descriptors) for held in (self.weights, self.bias))
        taken = unit_length(descriptors) if self.unit else descriptors
        return taken @ xp.matrix_transpose(weights) + bias


def unit_length(descriptors: Array) -> Array:
    """Rows `(n, c)` divided by their Euclidean lengths; a row of zeros stays.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    xp = namespace_of(descriptors)
    lengths = xp.expand_dims(xp.sqrt(row_norms_squared(descriptors)), axis=1)
    return descriptors / xp.where(lengths > 0, lengths, xp.ones_like(lengths))


def pooled(features: Array, pool: Pool = "mean") -> Array:
    """The places of each picture as one: `(n, h, w, c)` -> `(n, c)`.

    >>> pooled(np.array([[[[1.0], [3.0]]]]), "max").tolist()
    [[3.0]]
    """
    xp = namespace_of(features)
    if pool == "max":
        return xp.max(features, axis=(1, 2))
    return xp.mean(features, axis=(1, 2)) if pool == "mean" else xp.sum(features, axis=(1, 2))
