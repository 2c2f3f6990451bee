"""What a classifier says of concepts is what it says of the features that they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.concepts.behind import AnyScores, HeadScores
from dff_onnx.linear_head import LinearHead

RNG = np.random.default_rng(0)
H = RNG.random((3, 4, 5, 2)).astype(np.float32)
W = RNG.random((2, 6)).astype(np.float32)
WEIGHTS, BIAS = RNG.normal(size=(7, 6)).astype(np.float32), RNG.normal(size=7).astype(np.float32)
HEADS: list[dict[str, Any]] = [
    *({"pool": pool, "rectified": rectified} for pool in ("mean", "max", "sum") for rectified in (False, True)),
    {"unit": True},
]


@pytest.mark.parametrize("options", HEADS, ids=str)
def test_a_head_of_concepts_is_the_head_of_their_features(options: dict[str, Any]) -> None:
    scores = HeadScores(LinearHead(WEIGHTS, BIAS, **options))
    expected = scores(np.moveaxis(H @ W, -1, 1))
    assert scores.classes == 7 and expected.shape == (3, 7)
    assert scores.of_concepts(W)(H) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert scores.of_concepts(W, 4)(H) == pytest.approx(expected[:, 4:5], rel=1e-4, abs=1e-5)


def test_any_function_gets_the_features_channels_first() -> None:
    seen = []

    def peaks(features: np.ndarray) -> np.ndarray:
        seen.append(features.shape)
        return np.asarray(features.max(axis=(2, 3)))

    scores = AnyScores(peaks, 6)
    assert scores.of_concepts(W)(H) == pytest.approx((H @ W).max(axis=(1, 2)))
    assert scores.of_concepts(W, 2)(H).tolist() == scores.of_concepts(W)(H)[:, 2:3].tolist()
    assert set(seen) == {(3, 6, 4, 5)}
