"""Spectral ranking: at full rank the direct solution, at low rank near it; eigenvalues beside LAPACK's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import normalized
from dff_onnx.retrieval.graphs import (
    Graph,
    PooledSpectrum,
    diffuse,
    graph_of,
    pooled_scores,
    spectral_scores,
    spectrum_of,
)
from dff_onnx.retrieval.graphs import eigen as module


def clustered(n: int, c: int = 12, centres: int = 5, spread: float = 0.5, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return normalized(rng.normal(0, 1, (centres, c))[rng.integers(0, centres, n)] + rng.normal(0, spread, (n, c)))


def direct(graph: Graph, y: Any, alpha: float = 0.99) -> Any:
    return (1 - alpha) * np.linalg.solve(np.eye(graph.nodes) - alpha * graph.W.toarray(), y)


def entry(n: int, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    y = np.zeros(n)
    y[rng.choice(n, 5, replace=False)] = rng.random(5)
    return y


@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize(("spread", "k"), [(0.5, 10), (0.05, 4)])
def test_at_full_rank_it_is_the_direct_solution(tail: bool, spread: float, k: int) -> None:
    graph = graph_of(clustered(90, spread=spread), k)
    spectrum = spectrum_of(graph, 90)
    for seed in range(5):
        y = entry(90, seed)
        np.testing.assert_allclose(spectral_scores(spectrum, y, tail=tail), direct(graph, y), atol=1e-12, rtol=1e-10)


def test_components_of_few_nodes_are_exact_at_any_rank() -> None:
    graph = graph_of(clustered(90, spread=0.05), 4)
    spectrum = spectrum_of(graph, 20)
    sizes = np.bincount(spectrum.component)
    assert len(sizes) > 5 and sizes.min() < 20
    y = np.where(sizes[spectrum.component] <= 20, entry(90, 3) + 0.1, 0)
    np.testing.assert_allclose(spectral_scores(spectrum, y), direct(graph, y), rtol=1e-10, atol=1e-12)


def test_a_low_rank_is_near_and_the_tail_helps() -> None:
    graph, errors = graph_of(clustered(60, spread=0.8), 12), []
    for tail in (False, True):
        far, whole = 0.0, 0.0
        for seed in range(20):
            y = entry(60, seed)
            expected = direct(graph, y)
            far += float(((spectral_scores(spectrum_of(graph, 20), y, tail=tail) - expected) ** 2).sum())
            whole += float((expected**2).sum())
        errors.append((far / whole) ** 0.5)
    assert errors[1] < 0.5 * errors[0] < 0.1


def test_a_component_that_is_not_entered_gets_nothing() -> None:
    graph = graph_of(np.array([[1.0, 0, 0], [0.9, 0.43589, 0], [0, 0, 1.0], [0, 0.43589, 0.9]]), 2)
    y = np.array([1.0, 0, 0, 0])
    assert spectral_scores(spectrum_of(graph, 4), y)[2:].tolist() == [0.0, 0.0]


def test_the_order_of_nodes_does_not_matter() -> None:
    graph, order, y = graph_of(clustered(80), 8), np.random.default_rng(2).permutation(80), entry(80)
    here = spectral_scores(spectrum_of(graph, 10), y)
    there = spectral_scores(spectrum_of(graph.part(order), 10), y[order])
    np.testing.assert_allclose(there, here[order], atol=1e-9)


@pytest.mark.parametrize(("dtype", "off"), [(np.float64, 1e-5), (np.float32, 1e-4)])
def test_filtered_subspaces_find_what_lapack_finds(dtype: Any, off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(clustered(1200, 24, 30, 0.5), 20)
    W = graph.W.astype(dtype)
    expected = np.linalg.eigvalsh(graph.W.toarray())[::-1][:40]
    monkeypatch.setattr(module, "WHOLE", 100)
    values, vectors = module.largest_eigenpairs(W, 40)
    assert vectors.dtype == dtype and vectors.shape == (1200, 40)
    np.testing.assert_allclose(values, expected, atol=off)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(40), atol=10 * off)
    again = module.largest_eigenpairs(W, 40)
    np.testing.assert_array_equal(again[1], vectors)
    monkeypatch.setattr(module, "available_cores", lambda: 0)
    np.testing.assert_array_equal(module.largest_eigenpairs(W, 40)[1], vectors)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_more_eigenvalues_than_clusters_are_found(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sixty values near 1 and the rest far below: what grows fastest must not hide what else is wanted."""
    graph = graph_of(clustered(1200, 64, 60, 0.3), 30)
    expected = np.linalg.eigvalsh(graph.W.toarray())[::-1][:160]
    monkeypatch.setattr(module, "WHOLE", 100)
    values, vectors = module.largest_eigenpairs(graph.W.astype(dtype), 160)
    np.testing.assert_allclose(values, expected, atol=2e-3)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(160), atol=1e-5)


def test_iterated_or_whole_the_ranking_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, y = graph_of(clustered(900, 24, 10, 0.7), 20), entry(900)
    whole = spectral_scores(spectrum_of(graph, 30), y)
    monkeypatch.setattr(module, "WHOLE", 100)
    found = spectral_scores(spectrum_of(graph, 30, dtype=np.float32), y)
    expected = diffuse(graph, y, steps=300, tolerance=1e-10).x * 0.01
    error = [np.linalg.norm(one - expected) / np.linalg.norm(expected) for one in (whole, found)]
    assert error[1] < 1.1 * error[0] + 0.01


@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("spread", [0.5, 0.05])
def test_vectors_added_up_for_each_image_give_the_pooled_scores(tail: bool, spread: float) -> None:
    rng = np.random.default_rng(6)
    spectrum = spectrum_of(graph_of(clustered(90, spread=spread), 5), 12)
    owners, weights = np.sort(rng.integers(0, 30, 90)), rng.random(90)
    pooled = PooledSpectrum.of(spectrum, weights, owners, 31)
    for seed in range(3):
        y = entry(90, seed)
        expected = pooled_scores(spectral_scores(spectrum, y, tail=tail), weights, owners, 31)
        np.testing.assert_allclose(pooled.scores(y, tail=tail), expected, rtol=1e-9, atol=1e-12)


def test_a_graph_of_no_edges_gives_back_the_query() -> None:
    alone = Graph(csr_matrix((3, 3)))
    for tail in (True, False):
        np.testing.assert_allclose(
            spectral_scores(spectrum_of(alone, 2), np.array([0.0, 2.0, 0.0]), tail=tail), [0, 0.02, 0], atol=1e-15
        )


def test_what_cannot_be_is_refused() -> None:
    graph = graph_of(clustered(20), 3)
    with pytest.raises(UsageError, match="rank"):
        spectrum_of(graph, 0)
    with pytest.raises(ArrayError, match="20 nodes"):
        spectral_scores(spectrum_of(graph, 3), np.zeros(19))
    with pytest.raises(UsageError, match="alpha"):
        spectral_scores(spectrum_of(graph, 3), np.zeros(20), 1.0)
