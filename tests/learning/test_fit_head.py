"""Features become a head with all that belongs to it."""

from __future__ import annotations

import numpy as np

from dff_onnx.images import Resize
from dff_onnx.learning.fit import FitSettings, fit_head, head_settings
from dff_onnx.learning.head_file import head_bytes
from dff_onnx.learning.svm import answers
from dff_onnx.records import Fingerprint, Preprocessing
from dff_onnx.report.features_file import Features

NAMES = ("apes", "bees", "cats")
MARK = Fingerprint("ab" * 32, "relu", Preprocessing())


def features() -> Features:
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    values = np.eye(3, 6, dtype=np.float32)[labels] + rng.random((30, 6), np.float32) / 4
    paths = tuple(f"{NAMES[label]}/{number}.jpg" for number, label in enumerate(labels))
    return Features(values, paths, MARK, "max", Resize("square", 96), "/pictures")


def test_folders_become_classes_and_everything_goes_along() -> None:
    given = features()
    fitted = fit_head(given)
    assert fitted.names == NAMES and fitted.pictures == (10, 10, 10) and fitted.others == 0
    assert (fitted.fingerprint, fitted.resize, fitted.head.pool, fitted.head.unit) == (MARK, given.resize, "max", True)
    assert answers(np.asarray(fitted.head.of_pooled(given.values))).tolist() == (np.arange(30) % 3).tolist()
    assert fitted.provenance["C"] == 1.0 and "scikit-learn" in fitted.provenance
    assert head_bytes(fit_head(given)) == head_bytes(fitted)


def test_a_split_becomes_one_class_whose_scores_are_above_zero_on_it() -> None:
    given = features()
    fitted = fit_head(given, FitSettings(("bees", "apes")))
    assert fitted.names == ("bees, apes",) and fitted.pictures == (20,) and fitted.others == 10
    scores = np.asarray(fitted.head.of_pooled(given.values))
    assert scores.shape == (30, 1)
    assert ((scores[:, 0] > 0) == np.array([not path.startswith("cats") for path in given.paths])).all()
    places = np.zeros((1, 1, 2, 6), np.float32)
    places[0, 0, 0, 1] = 1  # a place of what bees show, and one of nothing
    maps = fitted.head.maps(places)
    assert maps.shape == (1, 1, 2, 1) and maps[0, 0, 0, 0] > maps[0, 0, 1, 0]


def test_settings_are_known_before_the_training() -> None:
    for settings in (FitSettings(), FitSettings(("bees",), None, False), FitSettings(C=10.0)):
        assert fit_head(features(), settings).settings() == head_settings(features(), settings)


def test_cross_validation_says_what_it_chose_and_reached() -> None:
    facts = fit_head(features(), FitSettings(C=None)).provenance
    assert facts["C_asked"] == "cv" and isinstance(facts["C"], float) and facts["cv_accuracy"] == 1.0
