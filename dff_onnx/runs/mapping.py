"""From features to scores and class maps: one plug for each method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.backbone.tail import Tail
from dff_onnx.backbone.tail_gradient import TailGradient
from dff_onnx.cam.ablation import ablation_weights, head_ablation
from dff_onnx.cam.class_maps import class_maps
from dff_onnx.cam.eigen import eigen_map
from dff_onnx.cam.gradient import gradient_map, gradient_weights, head_weights
from dff_onnx.cam.score import score_weights
from dff_onnx.linear_head import LinearHead
from dff_onnx.runs.cam_settings import Method

# From activations `(n, h, w, c)` to scores before any softmax, `(n, classes)`.
ScoresOf = Callable[[Array], Array]
# From activations and classes `(n, m)` to weights of the channels, `(n, m, c)`.
WeightsOf = Callable[[Array, NDArray[np.intp]], Array]


class Mapping(Protocol):
    """What a run of class maps knows of a method.

    Attributes:
        method: its name.
        classes: how many the classifier knows.
        by_class: whether each class has a map of its own.
        made_of: what else two runs must share, as `run.toml` has it.
    """

    @property
    def method(self) -> Method: ...

    @property
    def classes(self) -> int: ...

    @property
    def by_class(self) -> bool: ...

    @property
    def made_of(self) -> dict[str, str]: ...

    def scores(self, A: Array) -> NDArray[np.float32]:
        """Scores before any softmax, `(n, classes)`, of activations `(n, h, w, c)`."""
        ...

    def maps(self, A: Array, classes: NDArray[np.intp]) -> NDArray[np.float32]:
        """Maps `(n, m, h, w)` of the classes `(n, m)`; `(n, 1, h, w)` where classes have none of their own."""
        ...


@dataclass(frozen=True, slots=True)
class Cam:
    """The features weighed by a head's weights, negative values included."""

    head: LinearHead
    made_of: dict[str, str] = field(default_factory=dict)
    method: Method = "cam"
    by_class: bool = True

    @property
    def classes(self) -> int:
        """How many the head knows."""
        return self.head.classes

    def scores(self, A: Array) -> NDArray[np.float32]:
        """See `Mapping`."""
        return to_numpy(self.head.scores(A))

    def maps(self, A: Array, classes: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `Mapping`."""
        return to_numpy(class_maps(A, self.head, classes))


@dataclass(frozen=True, slots=True)
class Weighted:
    """The features weighed by what one picture's scores say of each channel, and rectified."""

    method: Method
    classes: int
    scores_of: ScoresOf
    weights_of: WeightsOf
    made_of: dict[str, str] = field(default_factory=dict)
    by_class: bool = True

    def scores(self, A: Array) -> NDArray[np.float32]:
        """See `Mapping`."""
        return to_numpy(self.scores_of(A))

    def maps(self, A: Array, classes: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `Mapping`."""
        return to_numpy(gradient_map(A, self.weights_of(A, classes)))


@dataclass(frozen=True, slots=True)
class Eigen:
    """What is strongest in each picture, whatever the class."""

    classes: int
    scores_of: ScoresOf
    method: Method = "eigen-cam"
    by_class: bool = False
    made_of: dict[str, str] = field(default_factory=dict)

    def scores(self, A: Array) -> NDArray[np.float32]:
        """See `Mapping`."""
        return to_numpy(self.scores_of(A))

    def maps(self, A: Array, classes: NDArray[np.intp]) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Mapping`."""
        return to_numpy(eigen_map(A))[:, None]


def head_mapping(method: Method, head: LinearHead, made_of: dict[str, str] | None = None) -> Mapping:
    """A method for a classifier whose head is linear and pooled: nothing else of the network is run.

    Args:
        method: any.
        head: of the classifier.
        made_of: see `Mapping`.
    """
    made_of = made_of or {}
    match method:
        case "cam":
            return Cam(head, made_of)
        case "eigen-cam":
            return Eigen(head.classes, head.scores, made_of=made_of)
        case "grad-cam":
            return Weighted(method, head.classes, head.scores, lambda A, c: head_weights(A, head, c), made_of)
        case "ablation-cam":
            return Weighted(method, head.classes, head.scores, _each_picture(head, head_ablation), made_of)
    return Weighted(method, head.classes, head.scores, _each_picture(head, _head_score_weights), made_of)


def tail_mapping(
    method: Method, tail: Tail, gradient: TailGradient | None = None, made_of: dict[str, str] | None = None
) -> Mapping:
    """A method for any classifier, through its tail.

    Args:
        method: all but `cam`.
        tail: from the features to the scores.
        gradient: of it, for `grad-cam`.
        made_of: see `Mapping`.
    """
    made_of = made_of or {}

    def scores_of(A: Array) -> Array:
        return tail(_planes(A))

    match method:
        case "eigen-cam":
            return Eigen(tail.classes, scores_of, made_of=made_of)
        case "grad-cam" if gradient is not None:
            return Weighted(method, tail.classes, scores_of, _by_gradient(gradient), made_of)
        case "ablation-cam":
            return Weighted(method, tail.classes, scores_of, lambda A, c: ablation_weights(A, tail, c), made_of)
        case "score-cam":
            return Weighted(method, tail.classes, scores_of, lambda A, c: score_weights(A, tail, c), made_of)
    raise ValueError(f"{method} is not made of a tail")


def _by_gradient(gradient: TailGradient) -> WeightsOf:
    def weights(A: Array, classes: NDArray[np.intp]) -> Array:
        """Made on the host, where the gradients come."""
        planes = _planes(A)
        columns = [gradient(planes, classes[:, i]).transpose(0, 2, 3, 1) for i in range(classes.shape[1])]
        return like(np.stack([gradient_weights(one) for one in columns], axis=1), A)

    return weights


def _each_picture(head: LinearHead, weigh: Callable[[Array, LinearHead, NDArray[np.intp]], Array]) -> WeightsOf:
    """Picture by picture, with the head of its classes alone: it is asked hundreds of times."""

    def weights(A: Array, classes: NDArray[np.intp]) -> Array:
        numbers = np.arange(classes.shape[1])[None]
        found = [weigh(A[i : i + 1, ...], head.only(mine), numbers) for i, mine in enumerate(classes)]
        return namespace_of(A).concat(found, axis=0)

    return weights


def _head_score_weights(A: Array, head: LinearHead, classes: NDArray[np.intp]) -> Array:
    """Score-CAM with a head in a tail's place."""
    return score_weights(A, lambda planes: head.scores(namespace_of(planes).moveaxis(planes, 1, -1)), classes)


def _planes(A: Array) -> Array:
    return namespace_of(A).moveaxis(A, -1, 1)
