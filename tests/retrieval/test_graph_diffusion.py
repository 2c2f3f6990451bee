"""Diffusion and centrality: direct solves, SciPy's conjugate gradients, and graphs that can be solved by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import cg

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import normalized, rank
from dff_onnx.retrieval.graphs import (
    Graph,
    diffuse,
    graph_of,
    katz_centrality,
    offline_diffusion,
    query_vector,
)
from dff_onnx.retrieval.graphs.affinity import normalized_affinity
from dff_onnx.retrieval.ranking import Ranking


def graph(n: int = 120, k: int = 8) -> Graph:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (6, 10))
    return graph_of(normalized(centres[rng.integers(0, 6, n)] + rng.normal(0, 0.4, (n, 10))), k)


def of_edges(n: int, edges: Any) -> Graph:
    A = np.zeros((n, n))
    for i, j in edges:
        A[i, j] = A[j, i] = 1.0
    return Graph(normalized_affinity(csr_matrix(A)))


def direct(one: Graph, y: Any, alpha: float) -> Any:
    return np.linalg.solve(np.eye(one.nodes) - alpha * one.W.toarray(), y)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.99])
def test_conjugate_gradients_come_to_the_direct_solution(alpha: float) -> None:
    one, Y = graph(), np.random.default_rng(1).random((120, 3))
    found = diffuse(one, Y, alpha, steps=500, tolerance=1e-13)
    assert found.converged and found.residual <= 1e-13
    np.testing.assert_allclose(found.x, direct(one, Y, alpha), rtol=1e-10)
    np.testing.assert_allclose(diffuse(one, Y[:, 1], alpha, steps=500, tolerance=1e-13).x, found.x[:, 1], rtol=1e-10)


def test_after_a_few_steps_it_is_where_scipy_is() -> None:
    one, y = graph(), np.zeros(120)
    y[[3, 50]] = 1.0, 0.5
    expected, left = cg(identity(120) - 0.99 * one.W, y, rtol=1e-6, maxiter=6)
    found = diffuse(one, y, steps=6)
    assert left == 6 == found.steps and not found.converged
    np.testing.assert_allclose(found.x, expected, rtol=1e-8, atol=1e-12)


def test_columns_do_not_touch_each_other() -> None:
    one, Y = graph(), np.zeros((120, 3))
    Y[[1, 40], 0], Y[7, 2] = 1.0, 1e-9
    found = diffuse(one, Y, 0.9)
    assert not found.x[:, 1].any()
    for at in (0, 2):
        np.testing.assert_allclose(found.x[:, at], diffuse(one, Y[:, at], 0.9).x, rtol=1e-9)
    assert diffuse(one, np.zeros((120, 0))).x.shape == (120, 0)


def test_a_star_a_path_and_two_parts_by_hand() -> None:
    a = 0.6
    # W of a star with three rays has 1 / sqrt(3) between the middle and each ray: x_0 = 1 + a sqrt(3) x_1, and so on.
    star = diffuse(of_edges(4, [(0, 1), (0, 2), (0, 3)]), np.array([1.0, 0, 0, 0]), a, steps=50, tolerance=1e-14).x
    middle = 1 / (1 - a * a)
    np.testing.assert_allclose(star, [middle, *[a * middle / np.sqrt(3)] * 3], rtol=1e-12)
    # A path of three is a star of two rays, entered at its end.
    path = diffuse(of_edges(3, [(0, 1), (1, 2)]), np.array([1.0, 0, 0]), a, steps=50, tolerance=1e-14).x
    inner = a / np.sqrt(2) / (1 - a * a)
    np.testing.assert_allclose(path, [1 + a / np.sqrt(2) * inner, inner, a / np.sqrt(2) * inner], rtol=1e-12)
    # What is not connected to the query gets nothing; a node alone keeps what it is given.
    apart = of_edges(5, [(0, 1), (2, 3)])
    np.testing.assert_allclose(
        diffuse(apart, np.array([1.0, 0, 0, 0, 2.0]), a, steps=50, tolerance=1e-14).x,
        [1 / (1 - a * a), a / (1 - a * a), 0, 0, 2],
        rtol=1e-12,
    )


def test_the_middle_of_a_star_is_central_and_a_node_alone_is_not() -> None:
    one = of_edges(5, [(0, 1), (0, 2), (0, 3)])
    g = katz_centrality(one, 0.9, steps=100)
    np.testing.assert_allclose(g, 0.1 * direct(one, np.ones(5), 0.9), rtol=1e-9)
    assert g[0] > g[1] > g[4] == pytest.approx(0.1)


def test_the_order_of_nodes_does_not_matter() -> None:
    one, y, order = graph(), np.random.default_rng(2).random(120), np.random.default_rng(3).permutation(120)
    np.testing.assert_allclose(diffuse(one.part(order), y[order]).x, diffuse(one, y).x[order], rtol=1e-7)
    np.testing.assert_allclose(katz_centrality(one.part(order)), katz_centrality(one)[order], rtol=1e-7)


def test_a_query_enters_at_its_nearest_nodes() -> None:
    rng = np.random.default_rng(4)
    V, parts = normalized(rng.normal(0, 1, (50, 6))), normalized(rng.normal(0, 1, (3, 6)))
    near = rank(parts, V, 20)
    sums = np.zeros(50)
    for scores, indices in zip(near.scores, near.indices, strict=True):
        for score, index in zip(scores, indices, strict=True):
            sums[index] += float(score)
    expected = np.zeros(50)
    for index in sorted(range(50), key=lambda i: (-sums[i], i))[:7]:
        expected[index] = max(sums[index], 0) ** 3
    np.testing.assert_allclose(query_vector(near, 50, 7), expected, rtol=1e-12)


def test_a_node_that_is_unlike_the_query_is_no_entry() -> None:
    y = query_vector(Ranking(np.array([[0.5, -0.5]], np.float32), np.array([[1, 0]])), 3, 3)
    assert y.tolist() == [0.0, 0.125, 0.0]


def test_solutions_made_beforehand_add_up_to_the_direct_one() -> None:
    one = graph(40)
    everyone = np.tile(np.arange(40), (40, 1))
    made = offline_diffusion(one, everyone, 0.9, steps=200)
    y = np.random.default_rng(5).random(40)
    np.testing.assert_allclose(y @ made, direct(one, y, 0.9), rtol=1e-5)


def test_a_truncated_solution_is_that_of_its_neighbourhood() -> None:
    one = graph(40)
    near = np.argsort(-one.W.toarray() - 2 * np.eye(40), axis=1, kind="stable")[:, :12]
    made = offline_diffusion(one, near, 0.9, steps=200).toarray()
    for node in (0, 17, 39):
        inside = np.sort(near[node])
        y = (inside == node).astype(float)
        expected = np.zeros(40)
        expected[inside] = direct(one.part(inside), y, 0.9)
        np.testing.assert_allclose(made[node], expected, rtol=1e-5, atol=1e-9)


def test_what_cannot_be_solved_is_refused() -> None:
    one = graph(40)
    for alpha in (-0.1, 1.0, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            diffuse(one, np.zeros(40), alpha)
    with pytest.raises(ArrayError, match="40 nodes"):
        diffuse(one, np.zeros(39))
    with pytest.raises(ArrayError, match="own index"):
        offline_diffusion(one, np.zeros((40, 3), np.int64))
    with pytest.raises(ArrayError, match="nodes 0 to 3"):
        query_vector(Ranking(np.array([[0.5]], np.float32), np.array([[4]])), 4)
    with pytest.raises(UsageError, match="entries"):
        query_vector(Ranking(np.array([[0.5]], np.float32), np.array([[4]])), 5, 0)
