"""Matrices made inside a graph, beside those of `dff_onnx.maps.upsample`."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import run

from dff_onnx.deploy.enlarge import Axis, Picture
from dff_onnx.deploy.nodes import Nodes
from dff_onnx.maps.upsample import bilinear_weights, upsample

SIZES = [(224, 14), (224, 13), (448, 28), (193, 12), (260, 17), (64, 64), (33, 1), (32, 2), (8192, 512), (100, 99)]


@pytest.mark.parametrize(("pixels", "cells"), SIZES)
def test_weights_are_those_of_the_python_side(pixels: int, cells: int) -> None:
    nodes = Nodes()
    axis = Axis.between(nodes, "pixels", "cells")
    upright, turned = axis.weights(nodes, axis.places), axis.weights(nodes, axis.places, turned=True)
    feed = {"pixels": np.asarray(pixels), "cells": np.asarray(cells)}
    found = run(nodes, feed, upright, turned)
    expected = bilinear_weights(cells, pixels)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1.2e-7)
    np.testing.assert_array_equal(found[1], found[0].T)


@pytest.mark.parametrize(("pixels", "cells"), SIZES)
def test_a_row_is_straight_between_its_turns(pixels: int, cells: int) -> None:
    nodes = Nodes()
    axis = Axis.between(nodes, "pixels", "cells")
    [turns] = run(nodes, {"pixels": np.asarray(pixels), "cells": np.asarray(cells)}, axis.turns(nodes))
    assert turns[0] == 0 and turns[-1] == pixels - 1 and (np.diff(turns) >= 0).all()
    row = bilinear_weights(cells, pixels).astype(np.float64) @ np.random.default_rng(0).random(cells)
    np.testing.assert_allclose(row, np.interp(np.arange(pixels), turns, row[turns]), atol=1e-6 * pixels / cells)


def test_maps_are_enlarged_as_python_does_it() -> None:
    nodes, rng = Nodes(), np.random.default_rng(0)
    maps = rng.random((2, 3, 12, 17), np.float32)
    out = Picture.of(nodes, "image", "maps").enlarged(nodes, "maps")
    feed = {"image": np.zeros((2, 193, 260, 3), np.uint8), "maps": maps}
    np.testing.assert_allclose(run(nodes, feed, out)[0], upsample(maps, 193, 260), atol=3e-7)
