"""A foreground and class maps inside a graph, beside what Python makes of the same activations."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import run
from numpy.typing import NDArray

from dff_onnx.cam.class_maps import class_maps, ranked_classes
from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.deploy.classes import add_classes
from dff_onnx.deploy.enlarge import Picture
from dff_onnx.deploy.foreground import add_foreground
from dff_onnx.deploy.form import Form
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead, Pool
from dff_onnx.maps import upsample
from dff_onnx.records import Grid

SIZE = (96, 144)
Floats = NDArray[np.float32]


def activations(seed: int = 0, channels: int = 12, n: int = 3) -> Floats:
    return np.random.default_rng(seed).gamma(0.4, size=(n, channels, 6, 9)).astype(np.float32)


def feed(A: Floats) -> dict[str, NDArray[np.generic]]:
    return {"A": A, "image": np.zeros((len(A), *SIZE, 3), np.uint8)}


def model(upper: float, seed: int = 1) -> ForegroundModel:
    rng = np.random.default_rng(seed)
    direction, mean = rng.normal(0, 1, 12).astype(np.float32), rng.random(12).astype(np.float32)
    return ForegroundModel(direction, mean, 0.1, upper, 1.7, Resize())


@pytest.mark.parametrize("upper", [0.0, 0.4, 1.0])
def test_soft_maps_of_a_foreground_are_those_of_its_model(upper: float) -> None:
    A, known = activations(), model(upper)
    nodes = Nodes()
    add_foreground(nodes, known, "A", Picture.of(nodes, "image", "A"), Form())
    soft, boxes = run(nodes, feed(A), "foreground", "foreground_boxes")
    for picture, found in zip(A, soft, strict=True):
        along = known.values(picture.reshape(12, -1).T).reshape(6, 9)
        np.testing.assert_allclose(found, known.soft(along, Grid(*SIZE)), atol=2e-5)
    assert soft.shape == (3, *SIZE) and boxes.shape == (3, 1, 4) and (boxes[..., 2] > boxes[..., 0]).all()


def test_a_picture_of_one_value_parts_at_that_value() -> None:
    known, nodes = model(0.4), Nodes()
    A = np.full((1, 12, 6, 9), 0.5, np.float32)
    add_foreground(nodes, known, "A", Picture.of(nodes, "image", "A"), Form())
    [soft] = run(nodes, feed(A), "foreground")
    along = known.values(A[0].reshape(12, -1).T).reshape(6, 9)
    np.testing.assert_allclose(soft[0], known.soft(along, Grid(*SIZE)), atol=1e-5)


def test_without_heat_maps_a_foreground_is_a_box() -> None:
    nodes = Nodes()
    outputs = add_foreground(nodes, model(0.0), "A", Picture.of(nodes, "image", "A"), Form(heatmaps=False, unroll=3))
    assert [one.name for one in outputs] == ["foreground_mask_boxes"]
    assert not any(node.op_type == "Loop" for node in nodes.nodes)


@pytest.mark.parametrize("pool", ["mean", "max", "sum"])
@pytest.mark.parametrize("kind", ["plain", "rectified", "unit"])
def test_class_scores_and_maps_are_those_of_the_head(pool: Pool, kind: str) -> None:
    rng = np.random.default_rng(2)
    head = LinearHead(
        rng.normal(0, 1, (20, 12)).astype(np.float32),
        rng.normal(0, 1, 20).astype(np.float32),
        pool,
        rectified=kind == "rectified",
        unit=kind == "unit",
    )
    A, nodes = activations(), Nodes()
    outputs = add_classes(nodes, head, "A", Picture.of(nodes, "image", "A"), Form())
    scores, classes, maps = run(nodes, feed(A), *(one.name for one in outputs))
    last = A.transpose(0, 2, 3, 1)
    expected = head.scores(last)
    np.testing.assert_allclose(scores, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(classes, ranked_classes(expected, 5))
    plain = upsample(class_maps(last, head, classes), *SIZE)
    np.testing.assert_allclose(maps, plain, atol=1e-5 * np.abs(plain).max())


def test_of_few_classes_all_are_mapped() -> None:
    head, nodes = LinearHead(np.ones((2, 12), np.float32), np.zeros(2, np.float32)), Nodes()
    outputs = add_classes(nodes, head, "A", Picture.of(nodes, "image", "A"), Form(heatmaps=False))
    found = run(nodes, feed(activations()), *(one.name for one in outputs))
    assert [one.shape for one in found] == [(3, 2), (3, 2)] and found[1].tolist() == [[0, 1]] * 3
