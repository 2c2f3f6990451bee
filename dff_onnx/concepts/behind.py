"""What a classifier says of features, and of features that are put together of concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.linear_head import LinearHead

Floats = NDArray[np.float32]
# From any arrays whose first axis is that of the pictures to scores before any softmax, `(n, classes)`.
ScoresOf = Callable[[Floats], Floats]


class Scores(Protocol):
    """The network behind a layer.

    Attributes:
        classes: how many it knows.
    """

    @property
    def classes(self) -> int: ...

    def __call__(self, features: Floats) -> Floats:
        """Scores before any softmax, `(n, classes)`, of features `(n, c, h, w)`."""
        ...

    def of_concepts(self, W: Floats, number: int | None = None) -> ScoresOf:
        """A function from coefficients `(n, h, w, k)` to the scores of the features `HW`; `W` is `(k, c)`.

        With the number of a class, the scores `(n, 1)` of that class alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class AnyScores:
    """Any function of the features.

    Attributes:
        of_features: `(n, c, h, w)` -> `(n, classes)`, on the host.
        classes: how many it knows.
    """

    of_features: ScoresOf
    classes: int

    def __call__(self, features: Floats) -> Floats:
        """See `Scores`."""
        return self.of_features(features)

    def of_concepts(self, W: Floats, number: int | None = None) -> ScoresOf:
        """See `Scores`; the features are put together."""
        wanted = slice(None) if number is None else slice(number, number + 1)
        return lambda H: self(np.ascontiguousarray(np.moveaxis(H @ W, -1, 1)))[:, wanted]


@dataclass(frozen=True, slots=True)
class HeadScores:
    """A linear head: what it says of concepts is a head of k channels, and no features are put together.

    Attributes:
        head: of the network.
    """

    head: LinearHead

    @property
    def classes(self) -> int:
        """How many it knows."""
        return self.head.classes

    def __call__(self, features: Floats) -> Floats:
        """See `Scores`."""
        scores: Floats = self.head.scores(np.moveaxis(features, 1, -1))
        return scores

    def of_concepts(self, W: Floats, number: int | None = None) -> ScoresOf:
        """See `Scores`."""
        head = self.head if number is None else self.head.only([number])
        if head.unit or (head.pool == "max" and not head.rectified):  # neither commutes with a sum of concepts
            return AnyScores(HeadScores(head), head.classes).of_concepts(W)
        shorter = replace(head, weights=np.asarray(to_numpy(head.weights), np.float32) @ W.T)
        return shorter.scores
