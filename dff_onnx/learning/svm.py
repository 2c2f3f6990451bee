"""One-vs-rest linear support vector machines on pooled features, as a `LinearHead`. The host's work.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016), section
4: the weights of the machine take the place of those of a softmax layer, so that its class maps need no such layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.linear_head import LinearHead, Pool, unit_length

FOLDS = 3
GRID = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # what cross-validation chooses C from
STEPS = 10_000  # of liblinear, ten times scikit-learn's default: raw features need them

Labels = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class FittedSvm:
    """A machine that was trained.

    Attributes:
        head: its weights.
        C: of the loss against the length of the weights.
        accuracy: mean over classes, of the pictures left out in each fold, where C was chosen by cross-validation.
        converged: whether liblinear ended before its steps did.
    """

    head: LinearHead
    C: float
    accuracy: float | None
    converged: bool


def fit_svm(
    features: NDArray[np.float32],
    labels: Sequence[int] | Labels,
    classes: int,
    *,
    C: float | None = 1.0,
    unit: bool = True,
    pool: Pool = "mean",
) -> FittedSvm:
    """Trains a machine for each class against all others (scikit-learn's `LinearSVC`, squared hinge loss).

    Args:
        features: `(n, c)` pooled.
        labels: `(n,)` numbers of classes; -1 is a picture of no class.
        classes: how many. Each needs a picture. With one class there must be pictures of none.
        C: None chooses it from `GRID` by three-fold cross-validation: the best mean over classes, of equal ones the
            smallest C. Folds are stretches of each class's pictures in their order, so that near duplicates, which
            mostly follow each other, are not on both sides.
        unit: bring features to unit length first.
        pool: what pooled the features: the head pools alike.

    Raises:
        UsageError: when scikit-learn is not installed, C is not above 0, or a class has too few pictures.
        ArrayError: when features and labels do not belong together.

    >>> import numpy as np
    >>> points = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], np.float32)
    >>> head = fit_svm(points, [0, 0, 1, 1], 2).head
    >>> head.of_pooled(points).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """
    known = _checked(features, labels, classes)
    taken = np.asarray(unit_length(features) if unit else features, np.float64)
    accuracy = None
    if C is None:
        C, accuracy = _chosen(taken, known, classes)
    if not 0 < C < float("inf"):
        raise UsageError(f"C: a number above 0 is needed, found {C}")
    weights, bias, converged = _trained(taken, known, classes, C)
    head = LinearHead(weights.astype(np.float32), bias.astype(np.float32), pool=pool, unit=unit)
    return FittedSvm(head, float(C), accuracy, converged)


def answers(scores: NDArray[np.floating]) -> Labels:
    """The class of each picture: that of its best score, the first of equal ones; with one class 0 above zero, else -1.

    >>> answers(np.array([[0.5], [-0.5]])).tolist(), answers(np.array([[1.0, 2.0]])).tolist()
    ([0, -1], [1])
    """
    best: Labels = np.where(scores[:, 0] > 0, 0, -1) if scores.shape[1] == 1 else np.argmax(scores, axis=1)
    return best


def class_accuracy(found: Labels, known: Labels) -> float:
    """Mean over the labels that are known of the share of their pictures that were found.

    >>> class_accuracy(np.array([0, 0, 0]), np.array([0, 0, 1]))
    0.5
    """
    return float(np.mean([np.mean(found[known == label] == label) for label in np.unique(known)]))


def _checked(features: NDArray[np.float32], labels: Sequence[int] | Labels, classes: int) -> Labels:
    known = np.asarray(labels, np.intp)
    if features.ndim != 2 or known.shape != features.shape[:1] or not known.size:
        raise ArrayError(f"features (n, c) and labels (n,) are needed, found {features.shape} and {known.shape}")
    if known.min() < -1 or known.max() >= classes:
        raise ArrayError(f"labels are {known.min()} to {known.max()}, and -1 to {classes - 1} is needed")
    if not np.isfinite(features).all():
        raise ArrayError("features hold values that are not finite")
    counts = np.bincount(known + 1, minlength=classes + 1)
    if not counts[1:].all():
        raise UsageError(
            f"class {int(np.argmin(counts[1:]))} has no picture to be trained on; add one, or leave it out"
        )
    if classes == 1 and not counts[0]:
        raise UsageError("one class alone cannot be told from anything; pictures of no class are needed beside it")
    return known


def _trained(
    taken: NDArray[np.float64], known: Labels, classes: int, C: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Weights `(classes, c)`, bias `(classes,)`, and whether all went well."""
    if classes == 2 and known.min() >= 0:  # the machine of the second class is that of the first, turned
        second, bias, converged = _machine(taken, known == 1, C)
        return np.stack([-second, second]), np.array([-bias, bias]), converged
    machines = [_machine(taken, known == number, C) for number in range(classes)]
    weights, biases, good = (list(part) for part in zip(*machines, strict=True))
    return np.stack(weights), np.array(biases), all(good)


def _machine(taken: NDArray[np.float64], mine: NDArray[np.bool_], C: float) -> tuple[NDArray[np.float64], float, bool]:
    """One class against the rest."""
    sklearn = _scikit_learn()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.ConvergenceWarning)  # it is a value here
        machine = sklearn.LinearSVC(C=C, max_iter=STEPS, random_state=0, dual="auto").fit(taken, mine)
    return machine.coef_[0], float(machine.intercept_[0]), bool(machine.n_iter_ < STEPS)


def _chosen(taken: NDArray[np.float64], known: Labels, classes: int) -> tuple[float, float]:
    """The best C, and what it reached on pictures that were left out."""
    sklearn = _scikit_learn()
    least = int(np.unique(known, return_counts=True)[1].min())
    if least < FOLDS:
        raise UsageError(
            f"C by cross-validation: {FOLDS} pictures of each class are needed, one has {least}; give C as a number"
        )
    folds = list(sklearn.StratifiedKFold(FOLDS).split(taken, known))
    reached = []
    for C in GRID:
        scores = []
        for others, mine in folds:
            weights, bias, _ = _trained(taken[others], known[others], classes, C)
            scores.append(class_accuracy(answers(taken[mine] @ weights.T + bias), known[mine]))
        reached.append(float(np.mean(scores)))
    best = int(np.argmax(reached))
    return GRID[best], reached[best]


@dataclass(frozen=True, slots=True)
class _Sklearn:
    """The names of scikit-learn that are used here."""

    LinearSVC: Any
    StratifiedKFold: Any
    ConvergenceWarning: Any


def _scikit_learn() -> _Sklearn:
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise UsageError("training needs scikit-learn: pip install 'dff-onnx[learn]'") from error
    return _Sklearn(LinearSVC, StratifiedKFold, ConvergenceWarning)
