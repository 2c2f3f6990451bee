"""Whether concepts are what a classifier goes by: its scores when they take the place of the features, go, and come.

C-deletion and C-insertion: Ghorbani et al.: "Towards Automatic Concept-based Explanations" (NeurIPS 2019), Fel et al.:
"A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation" (NeurIPS 2023). The
importance of concepts: CRAFT (CVPR 2023), see `sobol`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.concepts.behind import Scores, ScoresOf
from dff_onnx.concepts.sobol import design_points, total_indices
from dff_onnx.errors import ModelError
from dff_onnx.factorization import nonnegative_least_squares
from dff_onnx.progress import Progress, followed
from dff_onnx.records import Grid
from dff_onnx.threads import available_cores, in_order

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]

DESIGNS = 32  # as in CRAFT
DRAWS = 4
# Numbers that the features, or the class maps, of one call may be: 16 MB in float32.
MOST_NUMBERS = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of n pictures, all of each picture's own first class.

    Attributes:
        kept: `(n,)` 1 where `HW` has the first class of `A`, else 0.
        probability: `(n,)` of the class for `A`.
        importance: `(n, k)` total Sobol indices of the class's score before the softmax.
        deletion: `(n, k + 1)` probabilities with 0, 1 .. k concepts taken away from `HW`.
        insertion: `(n, k + 1)` probabilities with 0, 1 .. k concepts put in.
    """

    kept: Floats
    probability: Floats
    importance: Floats
    deletion: Floats
    insertion: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Pictures as activations.

    Attributes:
        A: `(N, c)` float32 on the host, picture after picture.
        grids: of the pictures.
    """

    A: Rows
    grids: Sequence[Grid]

    @property
    def slices(self) -> list[slice]:
        """The rows of each picture."""
        ends = np.cumsum([grid.cells for grid in self.grids]).tolist()
        return [slice(end - grid.cells, end) for end, grid in zip(ends, self.grids, strict=True)]


def faithfulness(
    pictures: Activity,
    H: Rows,
    W: Rows,
    scores: Scores,
    progress: Progress,
    designs: int = DESIGNS,
    seed: int = 0,
) -> Measured:
    """Measures concepts by what the network behind the layer says.

    Each picture's own first class is looked at. Importance comes first: coefficients are multiplied by points of
    [0, 1]^k, and the total Sobol indices of the class's score are taken, before the softmax: a probability that is
    next to 0 at most of the points has indices that a few points decide. Then concepts are taken away, and put in, one
    after the other in the order of their mean importance, the same for all pictures.

    Args:
        pictures: their activations.
        H, W: `(N, k)` and `(k, c)` float32, of these rows.
        scores: of the network behind the layer.
        progress: is told of each picture twice; the stage is the caller's.
        designs: points of a Sobol index; a picture costs `(2 + k) designs + 2 (k + 1) + 2` runs.
        seed: of the points. Equal input and seed give equal figures, whatever the number of cores.

    Raises:
        ModelError: when a score is not finite.
    """
    together = scores.of_concepts(W)
    k = len(W)

    def open_picture(i: int) -> _Picture:
        rows, grid = pictures.slices[i], pictures.grids[i]
        features = np.moveaxis(pictures.A[rows].reshape(1, grid.height, grid.width, -1), -1, 1)
        answer = _probabilities(_finite(scores(np.ascontiguousarray(features))))[0]
        at_once = max(1, MOST_NUMBERS // (grid.cells * max(W.shape[1], scores.classes)))
        return _Picture(H[rows].reshape(grid.height, grid.width, k), answer, at_once)

    def indices(i: int) -> Floats:
        picture = open_picture(i)
        points = design_points(k, designs, np.random.default_rng([seed, i]))
        found = picture.at(points, scores.of_concepts(W, picture.first))
        return total_indices(found[:, 0].astype(np.float64), k)

    def curves(i: int) -> tuple[bool, float, Floats]:
        picture = open_picture(i)
        found, first = picture.at(steps, together), picture.first
        # The first step is HW as it is.
        return int(found[0].argmax()) == first, picture.answer[first], _probabilities(found)[:, first]

    numbers, workers = range(len(pictures.grids)), available_cores()
    with single_threaded_blas():
        importance = np.stack(list(followed(in_order(numbers, indices, workers), progress)))
        steps = _steps(strongest_first(importance))
        kept, probability, found = zip(*followed(in_order(numbers, curves, workers), progress), strict=True)
    deletion, insertion = np.split(np.stack(found), 2, axis=1)
    return Measured(np.asarray(kept, float), np.asarray(probability), importance, deletion, insertion)


def control(
    pictures: Activity,
    k: int,
    scores: Scores,
    progress: Progress,
    designs: int = DESIGNS,
    seed: int = 0,
) -> Measured:
    """The same of random concepts: the mean of four draws. Their importance stands strongest first.

    Random concepts are the activations of k places of these pictures, brought to unit length, with coefficients by
    non-negative least squares. The draws share the designs: all four together cost what the concepts cost.

    Args:
        pictures, scores, progress, designs, seed: as in `faithfulness`.
        k: how many concepts.

    Raises:
        ModelError: when a score is not finite.
    """
    drawn = []
    for draw in range(DRAWS):
        W = random_concepts(pictures.A, k, np.random.default_rng([seed, draw]))
        H = np.asarray(nonnegative_least_squares(pictures.A, W), np.float32)
        found = faithfulness(pictures, H, W, scores, progress, -(-designs // DRAWS), seed)
        order = strongest_first(found.importance)
        drawn.append((found.kept, found.probability, found.importance[:, order], found.deletion, found.insertion))
    return Measured(*(np.mean(np.stack(one), axis=0) for one in zip(*drawn, strict=True)))


def random_concepts(A: Rows, k: int, rng: np.random.Generator) -> Rows:
    """Rows `(k, c)` of `A`, no two the same place where there are as many; of unit length.

    >>> random_concepts(np.array([[0, 0], [0, 2]], np.float32), 1, np.random.default_rng(0)).tolist()
    [[0.0, 1.0]]
    """
    lengths = np.linalg.norm(A, axis=1)
    there = np.flatnonzero(lengths > 0)
    if not len(there):
        return np.zeros((k, A.shape[1]), np.float32)
    chosen = rng.choice(there, k, replace=len(there) < k)
    found: Rows = (A[chosen] / lengths[chosen, None]).astype(np.float32)
    return found


def strongest_first(importance: Floats) -> NDArray[np.intp]:
    """The concepts in the order of their mean importance `(n, k)`; equal ones by their numbers.

    >>> strongest_first(np.array([[0.1, 0.5, 0.1]])).tolist()
    [1, 0, 2]
    """
    return np.argsort(-importance.mean(axis=0), kind="stable")


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """One picture: its coefficients `(h, w, k)`, its classes' probabilities, and how much to ask at once."""

    H: Rows
    answer: Floats
    at_once: int

    @property
    def first(self) -> int:
        return int(self.answer.argmax())

    def at(self, points: Floats, together: ScoresOf) -> Rows:
        """Scores `(m, classes)` with the coefficients multiplied by points `(m, k)`."""
        factors = points.astype(np.float32)[:, None, None, :]
        parts = [factors[i : i + self.at_once] for i in range(0, len(factors), self.at_once)]
        return np.concatenate([_finite(together(part * self.H)) for part in parts])


def _steps(order: NDArray[np.intp]) -> Floats:
    """Points `(2 (k + 1), k)`: 0, 1 .. k concepts away, then as many put in."""
    k = len(order)
    ranks = np.empty(k, np.intp)
    ranks[order] = np.arange(k)
    put_in = ranks[None, :] < np.arange(k + 1)[:, None]
    return np.concatenate([~put_in, put_in]).astype(np.float64)


def _probabilities(scores: Rows) -> Floats:
    """The softmax of scores `(n, classes)`."""
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _finite(scores: Rows) -> Rows:
    if not np.isfinite(scores).all():
        raise ModelError(
            "the network behind the layer gives scores that are not finite; leave --faithfulness out, or take another "
            "classifier"
        )
    return scores
