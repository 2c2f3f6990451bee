"""The graph of regions and Katz' centrality against dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.retrieval import normalized
from dff_onnx.runs.region_centrality import centrality, region_graph


def some_vectors(number: int = 60, width: int = 8, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return normalized(np.abs(rng.normal(0, 1, (number, width))).astype(np.float32))


def dense_graph(vectors: Any, k: int) -> Any:
    similarities = vectors.astype(float) @ vectors.astype(float).T
    near = np.zeros(similarities.shape, bool)
    for row, order in zip(near, np.argsort(-similarities, axis=1, kind="stable"), strict=True):
        row[order[:k]] = True
    A = np.where(near & near.T, np.maximum(similarities, 0) ** 3, 0)
    np.fill_diagonal(A, 0)
    return A


@pytest.mark.parametrize("k", [2, 5, 20])
def test_the_graph_has_cubed_similarities_of_mutual_neighbours(k: int) -> None:
    vectors = some_vectors()
    np.testing.assert_allclose(region_graph(vectors, k).toarray(), dense_graph(vectors, k), atol=1e-6)


def test_regions_that_are_unlike_are_no_neighbours() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0.8, 0.6]], np.float32)
    assert region_graph(vectors, 3).toarray()[1].tolist() == [0, 0, 0]


def test_centralities_are_those_of_a_dense_solver() -> None:
    vectors = some_vectors(30)
    A = dense_graph(vectors, 8)
    root = 1 / np.sqrt(A.sum(axis=1))
    W = A * root[:, None] * root
    expected = 0.01 * np.linalg.solve(np.eye(30) - 0.99 * W, np.ones(30))
    np.testing.assert_allclose(centrality(vectors, 8), expected, rtol=1e-3)


def test_the_middle_of_a_star_is_most_central() -> None:
    rays = np.eye(6, dtype=np.float32)[1:] * 0.8 + np.eye(6, dtype=np.float32)[0] * 0.6
    vectors = np.concatenate([rays, np.eye(6, dtype=np.float32)[:1]])
    assert int(np.argmax(centrality(vectors, 6))) == 5


def test_equal_regions_have_equal_centralities_whatever_the_order() -> None:
    vectors = some_vectors()
    order = np.random.default_rng(1).permutation(len(vectors))
    np.testing.assert_allclose(centrality(vectors[order], 6), centrality(vectors, 6)[order], rtol=1e-6)
