"""Who is whose neighbour: the published definition written out with dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import normalized, rank
from dff_onnx.retrieval.graphs import graph_of, graph_of_affinity, mutual_affinity, mutual_graph


def unit(n: int, c: int = 8, seed: int = 0) -> Any:
    return normalized(np.random.default_rng(seed).normal(0, 1, (n, c)))


def as_published(V: Any, k: int) -> Any:
    S = V @ V.T
    order = np.argsort(-S, axis=1, kind="stable")[:, :k]
    among = np.zeros(S.shape, bool)
    np.put_along_axis(among, order, True, axis=1)
    A = np.where(among & among.T, np.maximum(S, 0) ** 3, 0)
    np.fill_diagonal(A, 0)
    degrees = A.sum(axis=1)
    roots = np.array([0 if d == 0 else d**-0.5 for d in degrees])
    return roots[:, None] * A * roots


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_edges_are_mutual_cubed_and_normalised(k: int) -> None:
    V = unit(40)
    W = graph_of(V, k).W.toarray()
    np.testing.assert_allclose(W, as_published(V, k), atol=1e-6)
    np.testing.assert_array_equal(W, W.T)
    assert np.abs(np.linalg.eigvalsh(W)).max() <= 1 + 1e-12


def test_the_affinity_of_neighbours_are_their_cubed_similarities() -> None:
    V = unit(40)
    near = rank(V, V, 6)
    A = mutual_affinity(near.indices, near.scores).toarray()
    S = V @ V.T
    np.testing.assert_allclose(A[A > 0], S[A > 0] ** 3, rtol=1e-5)
    np.testing.assert_array_equal(A > 0, as_published(V, 6) > 0)
    W = graph_of_affinity(mutual_affinity(near.indices, near.scores)).W.toarray()
    np.testing.assert_array_equal(W, mutual_graph(near.indices, near.scores).W.toarray())


def test_a_node_without_neighbours_has_an_empty_row() -> None:
    V = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    graph = graph_of(V, 3)
    assert graph.W.toarray()[2].tolist() == [0.0, 0.0, 0.0] and graph.edges == 1
    alone = graph_of(V[:1], 5)
    assert alone.W.toarray().tolist() == [[0.0]] and alone.nodes == 1


def test_the_order_of_nodes_is_that_of_the_graph() -> None:
    V, order = unit(60), np.random.default_rng(1).permutation(60)
    W, shuffled = graph_of(V, 9).W.toarray(), graph_of(V[order], 9).W.toarray()
    np.testing.assert_allclose(shuffled, W[order][:, order], atol=1e-12)


def test_neighbours_that_are_not_there_make_no_edge() -> None:
    found = mutual_graph(np.array([[0, 1], [1, 0], [2, -1]]), np.array([[1.0, 0.5], [1.0, 0.5], [1.0, 9.0]]))
    np.testing.assert_allclose(found.W.toarray(), [[0, 1, 0], [1, 0, 0], [0, 0, 0]], rtol=1e-12)


def test_a_part_keeps_its_edges() -> None:
    graph = graph_of(unit(30), 6)
    nodes = np.array([5, 2, 9, 17])
    np.testing.assert_array_equal(graph.part(nodes).W.toarray(), graph.W.toarray()[np.ix_(nodes, nodes)])


def test_what_is_no_table_of_neighbours_is_refused() -> None:
    near = rank(unit(4), unit(4), 2)
    with pytest.raises(ArrayError, match="as many similarities"):
        mutual_graph(near.indices, near.scores[:2])
    with pytest.raises(ArrayError, match="nodes 0 to 1"):
        mutual_graph(near.indices[:2] + 2, near.scores[:2])
    with pytest.raises(UsageError, match="gamma"):
        mutual_graph(near.indices, near.scores, 0)


def test_a_neighbour_that_is_there_twice_or_a_similarity_that_is_none_is_refused() -> None:
    with pytest.raises(ArrayError, match="the same neighbour twice"):
        mutual_graph(np.array([[1, 1], [0, -1]]), np.ones((2, 2)))
    with pytest.raises(ArrayError, match="not finite"):
        mutual_graph(np.array([[1], [0]]), np.array([[1.0], [np.nan]]))
    assert mutual_graph(np.array([[1, -1], [0, -1]]), np.array([[1.0, np.nan], [1.0, np.nan]])).edges == 1
