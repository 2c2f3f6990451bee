"""Concepts in the middle of a picture count for more; what else may differ between equal pictures does not."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backbone import Colours

from dff_onnx.images import Picture
from dff_onnx.records import Grid
from dff_onnx.runs.descriptors import Describer, DescriptorSettings, parts_of

SIDE = 96
RED, GREEN = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])


def patches(*, outer: int = 0) -> np.ndarray:
    """Red in the middle, green of the same size in a corner."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[32:64, 32:64] = (240, 0, 0)
    pixels[outer : outer + 32, outer : outer + 32] = (0, 240, 0)
    return pixels


def vector(pixels: np.ndarray, weights: str, k: int = 2) -> np.ndarray:
    settings = DescriptorSettings("dff", size=SIDE, k=k, weights=weights)  # type: ignore[arg-type]
    return Describer(Colours(), settings).describe(Picture(pixels, Grid(SIDE, SIDE))).vector


def test_a_concept_in_the_middle_weighs_more_by_the_root_of_the_prior_under_it() -> None:
    seen = vector(patches(), "centre")
    cells = (np.arange(12) * 2 + 1) / 12 - 1
    prior = np.exp(-(cells[:, None] ** 2 + cells[None, :] ** 2) / (2 * 0.5**2))
    middle, corner = prior[4:8, 4:8].mean(), prior[:4, :4].mean()
    assert seen @ GREEN / (seen @ RED) == pytest.approx(np.sqrt(corner / middle), rel=1e-4)
    for weights in ("equal", "root", "energy"):
        same = vector(patches(), weights)
        assert same @ RED == pytest.approx(same @ GREEN, rel=1e-4)


def test_scale_and_mirroring_change_nothing() -> None:
    pixels = patches()
    seen = vector(pixels, "centre")
    assert vector(pixels[::-1, ::-1].copy(), "centre") == pytest.approx(seen, abs=1e-5)
    assert vector(pixels // 2, "centre") == pytest.approx(seen, abs=1e-5)
    # A concept more than there is to find has no heat, and no say.
    assert vector(pixels, "centre", k=4) == pytest.approx(seen, abs=2e-3)


def test_a_picture_without_activations_has_no_direction() -> None:
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert not vector(black, "centre").any()
    parts = parts_of(Colours()(black[None]), Grid(SIDE, SIDE), DescriptorSettings())
    assert parts.weights.tolist() == [1.0] and parts.boxes == (None,)


def test_the_default_is_what_was_measured_best() -> None:
    assert DescriptorSettings().to_dict() == {"size": 320, "scales": [1.0], "k": 12, "weights": "centre"}
