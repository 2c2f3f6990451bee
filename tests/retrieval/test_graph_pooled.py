"""From regions to images: sums and matches written out."""

from __future__ import annotations

import numpy as np
import pytest

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import normalized
from dff_onnx.retrieval.graphs import pooled_scores, pooling_weights, region_matches

OWNERS = np.array([0, 0, 0, 2, 2, 3])
V = normalized(np.random.default_rng(0).normal(0, 1, (6, 5)))


def test_weights_solve_each_images_own_system() -> None:
    found = pooling_weights(V, OWNERS)
    for image in (0, 2, 3):
        mine = image == OWNERS
        left = (V[mine] @ V[mine].T + np.eye(mine.sum())) @ found[mine]
        np.testing.assert_allclose(left, np.ones(mine.sum()), rtol=1e-12)


def test_what_an_image_shows_often_counts_once() -> None:
    same = np.tile(V[:1], (100, 1))
    assert pooling_weights(same, np.zeros(100, int)).sum() == pytest.approx(100 / 101)


def test_scores_of_regions_are_added_up_by_image() -> None:
    f, b = np.arange(6.0), np.full(6, 0.5)
    assert pooled_scores(f, b, OWNERS, 5).tolist() == [1.5, 0, 3.5, 2.5, 0]


def test_regions_are_matched_one_by_one() -> None:
    parts = normalized(np.random.default_rng(1).normal(0, 1, (3, 5)))
    expected = [
        [max((float(p @ v) for v, own in zip(V, OWNERS, strict=True) if own == image), default=-1.0) for p in parts]
        for image in range(4)
    ]
    np.testing.assert_allclose(region_matches(parts, V, OWNERS, 4), np.mean(expected, axis=1), rtol=1e-12)
    np.testing.assert_allclose(region_matches(parts, V, OWNERS, 4, best=True), np.max(expected, axis=1), rtol=1e-12)
    assert region_matches(parts, V[:0], OWNERS[:0], 2).tolist() == [-1.0, -1.0]


def test_owners_that_fall_are_refused() -> None:
    with pytest.raises(ArrayError, match="not falling"):
        pooling_weights(V, OWNERS[::-1])
    with pytest.raises(ArrayError, match="owners of 6"):
        region_matches(V, V, OWNERS[:5], 4)
    with pytest.raises(UsageError, match="ridge"):
        pooling_weights(V, OWNERS, 0)
