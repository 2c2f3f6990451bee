"""Machines on deep features: those of scikit-learn, as a head."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.learning.svm import GRID, answers, class_accuracy, fit_svm


def clouds(classes: int = 4, each: int = 12, channels: int = 20, noise: float = 1.5) -> tuple[NDArray, NDArray]:
    """Points around a centre for each class, of lengths that differ."""
    rng = np.random.default_rng(3)
    centres = rng.random((classes, channels)) * 2
    labels = np.repeat(np.arange(classes), each)
    points = np.maximum(centres[labels] + rng.normal(0, noise, (len(labels), channels)), 0)
    return (points * rng.uniform(0.5, 3, (len(labels), 1))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("C", [1.0, 0.05])
def test_scores_are_those_of_scikit_learn(classes: int, unit: bool, C: float) -> None:
    points, labels = clouds(classes)
    fitted = fit_svm(points, labels, classes, C=C, unit=unit)
    theirs = normalize(points.astype(np.float64)) if unit else points.astype(np.float64)
    # The other solver of the same problem, to the end: its optimum is unique.
    other = LinearSVC(C=C, dual=False, tol=1e-8, max_iter=100_000)
    expected = OneVsRestClassifier(other).fit(theirs, labels).decision_function(theirs)
    if classes == 2:
        expected = np.stack([-expected, expected], axis=1)
    found = fitted.head.of_pooled(points)
    assert found.shape == expected.shape and fitted.converged and fitted.accuracy is None
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
    assert (answers(found) == expected.argmax(axis=1)).mean() > 0.97


def test_the_class_map_needs_no_softmax_layer() -> None:
    points, labels = clouds()
    head = fit_svm(points, labels, 4, unit=False).head
    features = np.stack([points[:8].reshape(2, 4, -1), points[8:16].reshape(2, 4, -1)])  # two pictures of 2 x 4 places
    maps = head.maps(features)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) + head.bias, head.scores(features), rtol=1e-3, atol=1e-4)


def test_one_class_against_the_rest_is_one_machine() -> None:
    points, labels = clouds(2)
    both = fit_svm(points, labels, 2).head
    one = fit_svm(points, np.where(labels == 1, 0, -1), 1).head
    np.testing.assert_array_equal(one.weights[0], both.weights[1])
    np.testing.assert_array_equal(both.weights[0], -both.weights[1])
    assert one.classes == 1 and (answers(one.of_pooled(points)) == np.where(labels == 1, 0, -1)).mean() > 0.9


def test_pictures_of_no_class_stand_against_every_class() -> None:
    points, labels = clouds(3)
    fitted = fit_svm(points, labels - 1, 2)
    assert (fitted.head.of_pooled(points[labels == 0]) < 0).mean() > 0.9
    assert not np.allclose(fitted.head.weights[0], -fitted.head.weights[1])


def test_cross_validation_chooses_what_scikit_learn_chooses() -> None:
    points, labels = clouds(noise=3.0)
    fitted = fit_svm(points, labels, 4, C=None)
    search = GridSearchCV(
        OneVsRestClassifier(LinearSVC(dual=True, random_state=0, max_iter=10_000)),
        {"estimator__C": list(GRID)},
        scoring="balanced_accuracy",
        cv=StratifiedKFold(3),
    ).fit(normalize(points), labels)
    assert fitted.C == search.best_params_["estimator__C"] != 1
    assert fitted.accuracy == pytest.approx(search.best_score_, abs=0.03)
    again = fit_svm(points, labels, 4, C=None)
    assert again.head.weights.tobytes() == fitted.head.weights.tobytes()


def test_of_equally_good_values_of_C_the_smallest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = clouds(noise=0.1)
    monkeypatch.setattr("dff_onnx.learning.svm.GRID", (10.0, 100.0, 1000.0))
    fitted = fit_svm(points, labels, 4, C=None)
    assert (fitted.C, fitted.accuracy) == (10.0, 1.0)


def test_class_accuracy_is_balanced_accuracy() -> None:
    rng = np.random.default_rng(0)
    known, found = rng.choice(3, 50, p=[0.7, 0.2, 0.1]), rng.integers(0, 3, 50)
    assert class_accuracy(found, known) == pytest.approx(balanced_accuracy_score(known, found))


def test_a_solver_that_runs_out_of_steps_says_so_and_warns_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dff_onnx.learning.svm.STEPS", 2)
    points, labels = clouds()
    assert not fit_svm(points, labels, 4, C=1000.0, unit=False).converged


def test_what_cannot_be_trained_on_is_refused() -> None:
    points, labels = clouds(2)
    with pytest.raises(UsageError, match="class 2 has no picture"):
        fit_svm(points, labels, 3)
    with pytest.raises(UsageError, match="one class alone"):
        fit_svm(points, np.zeros(len(points), np.intp), 1)
    with pytest.raises(UsageError, match="C: a number above 0"):
        fit_svm(points, labels, 2, C=0.0)
    with pytest.raises(UsageError, match="3 pictures of each class are needed, one has 2"):
        fit_svm(points[:14], labels[:14], 2, C=None)
    with pytest.raises(ArrayError, match="labels are"):
        fit_svm(points, labels, 1)
    with pytest.raises(ArrayError, match="not finite"):
        fit_svm(np.full_like(points, np.nan), labels, 2)
    with pytest.raises(ArrayError, match="needed"):
        fit_svm(points, labels[:-1], 2)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sklearn", "sklearn.svm", "sklearn.exceptions", "sklearn.model_selection"):
        monkeypatch.setitem(sys.modules, name, None)
    points, labels = clouds(2)
    with pytest.raises(UsageError, match=r"pip install 'dff-onnx\[learn\]'"):
        fit_svm(points, labels, 2)
