"""What the maps of different methods share, on small and on real classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import array_api_strict
import numpy as np
import pytest
from classifier_networks import (
    CLASSES,
    CPU,
    METHODS,
    POOLED,
    TAIL,
    TENSORFLOW,
    activations,
    gradient_file,
    pixels,
    saved,
)

from dff_onnx.backbone.model_file import load_model
from dff_onnx.images import Resize, read_picture
from dff_onnx.runs.cam_settings import Method
from dff_onnx.runs.classifier import Classifier, open_classifier
from dff_onnx.runs.mapping import Cam
from dff_onnx.runs.opening import Opening


@pytest.mark.parametrize("method", ["grad-cam", "eigen-cam", "score-cam", "ablation-cam"])
def test_methods_of_a_tail_take_features_of_another_array_library(method: Method, tmp_path: Path) -> None:
    path = saved(TAIL, tmp_path)
    gradients = gradient_file(tmp_path, load_model(path).sha256) if method == "grad-cam" else None
    classifier = open_classifier(path, method, gradients=gradients, opening=CPU)
    A, classes = activations(classifier.backbone), np.array([[0, 4], [2, 0]])
    foreign = array_api_strict.asarray(np.ascontiguousarray(A))
    np.testing.assert_allclose(classifier.mapping.scores(foreign), classifier.mapping.scores(A), atol=1e-6)
    np.testing.assert_allclose(
        classifier.mapping.maps(foreign, classes), classifier.mapping.maps(A, classes), atol=1e-5
    )


def factors(classifier: Classifier, other: Classifier, seen: Any, top: int) -> Any:
    """What Grad-CAM's map of each picture and class is of the rectified class map, how exactly, and the places."""
    A = activations(classifier.backbone, seen)
    classes = np.argsort(-classifier.mapping.scores(A), axis=1)[:, :top]
    rectified = np.maximum(classifier.mapping.maps(A, classes), 0).reshape(*classes.shape, -1).astype(np.float64)
    gradient = other.mapping.maps(A, classes).reshape(*classes.shape, -1).astype(np.float64)
    alive = rectified.max(axis=2) > 0
    assert alive.any()
    factor = (rectified * gradient).sum(axis=2)[alive] / (rectified**2).sum(axis=2)[alive]
    error = np.abs(gradient - factor.mean() * rectified).max() / gradient.max()
    return factor, error, A.shape[1] * A.shape[2]


def test_grad_cam_of_a_pooled_head_is_the_rectified_class_map_up_to_one_factor(tmp_path: Path) -> None:
    path = saved(POOLED, tmp_path)
    cam, grad = (open_classifier(path, method, opening=CPU) for method in ("cam", "grad-cam"))
    factor, error, places = factors(cam, grad, pixels(4), CLASSES)
    # `alpha` is the mean over the places of `w / places`.
    np.testing.assert_allclose(factor, 1 / places, rtol=1e-5)
    assert error < 1e-5


REAL = {"squeezenet1_1": (None, "/fires.7/Concat_output_0", 1000), "mobilenetv2-cam": (TENSORFLOW, "features", 1001)}


def photographs(data: Path, count: int = 3) -> Any:
    paths = sorted((data / "photos").iterdir())[:: 1000 // count][:count]
    return np.stack([read_picture(path, Resize("square", 96)).pixels for path in paths])


@pytest.mark.parametrize("name", REAL)
def test_real_classifiers_are_opened_for_every_method(name: str, real_data: Path) -> None:
    preprocessing, layer, classes = REAL[name]
    seen = photographs(real_data, 1)
    for method in METHODS:
        path = real_data / "models" / f"{name}.onnx"
        classifier = open_classifier(path, method, opening=Opening("cpu", preprocessing))
        A = activations(classifier.backbone, seen)
        assert (classifier.mapping.classes, classifier.backbone.fingerprint.layer) == (classes, layer)
        best = np.argmax(classifier.mapping.scores(A), axis=1)[:, None]
        maps = classifier.mapping.maps(A, best)
        assert maps.shape == (1, 1, *A.shape[1:3]) and maps.max() > 0


def test_a_real_pooled_head_has_grad_cam_maps_as_its_rectified_class_maps(real_data: Path) -> None:
    path, opening = real_data / "models" / "mobilenetv2-cam.onnx", Opening("cpu", TENSORFLOW)
    cam, grad = (open_classifier(path, method, opening=opening) for method in ("cam", "grad-cam"))
    factor, error, places = factors(cam, grad, photographs(real_data), 5)
    np.testing.assert_allclose(factor, 1 / places, rtol=1e-4)
    assert error < 1e-4


def test_a_real_rectified_head_has_other_grad_cam_maps_than_class_maps(real_data: Path) -> None:
    """SqueezeNet's ReLU stands between its class maps and the mean.

    Grad-CAM weighs by the share of places where the class map is positive, and its own map leaves the bias out: it is
    that share of `relu(w . A)`, while the class map is `relu(w . A + b)`. The factor is another one for each picture
    and class, and the shapes differ by the bias, which is small here: 0.04 % of a map's maximum.
    """
    path = real_data / "models" / "squeezenet1_1.onnx"
    cam, grad = (open_classifier(path, method, opening=CPU) for method in ("cam", "grad-cam"))
    assert isinstance(cam.mapping, Cam) and cam.mapping.head.rectified
    A = activations(cam.backbone, photographs(real_data))
    classes = np.argsort(-cam.mapping.scores(A), axis=1)[:, :5]
    class_maps, gradient = cam.mapping.maps(A, classes), grad.mapping.maps(A, classes)
    weights, bias = (np.asarray(held)[classes] for held in (cam.mapping.head.weights, cam.mapping.head.bias))
    plain = np.einsum("nhwc,nmc->nmhw", A, weights)
    share = (class_maps > 0).mean(axis=(2, 3)) / (A.shape[1] * A.shape[2])
    np.testing.assert_allclose(gradient, share[:, :, None, None] * np.maximum(plain, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(class_maps, np.maximum(plain + bias[:, :, None, None], 0), rtol=1e-4, atol=1e-4)
    assert np.ptp(share) > 0 < np.abs(bias).min()
    unlike = np.abs(gradient / gradient.max(axis=(2, 3), keepdims=True)
                    - class_maps / class_maps.max(axis=(2, 3), keepdims=True)).max()  # fmt: skip
    assert 1e-4 < unlike < 1e-2
