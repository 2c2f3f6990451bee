"""Graphs as plain arrays: the same graph again, or a refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.errors import ArrayError
from dff_onnx.retrieval import normalized
from dff_onnx.retrieval.graphs import Graph, graph_of, graph_of_parts, graph_parts


def parts() -> dict[str, Any]:
    V = normalized(np.random.default_rng(0).normal(0, 1, (40, 6)))
    return graph_parts(graph_of(V, 6))


def test_a_graph_comes_back_to_the_bit() -> None:
    made = graph_of_parts(parts())
    for name, part in graph_parts(made).items():
        assert part.dtype == parts()[name].dtype and part.tobytes() == parts()[name].tobytes()


@pytest.mark.parametrize("n", [1, 3])
def test_a_graph_of_lone_nodes_comes_back(n: int) -> None:
    made = graph_of_parts(graph_parts(graph_of(np.eye(n), 2)))
    assert made.nodes == n and made.edges == 0


def test_what_proves_a_graph_proves_its_parts() -> None:
    some = graph_of_parts(parts()).part(np.array([7, 3, 20, 21, 5, 9]))
    assert graph_of_parts(graph_parts(some)).nodes == 6


def test_weights_that_conjugate_gradients_would_run_away_with_are_refused() -> None:
    """Every weight is below 1, and yet an eigenvalue is 0.9 * 3."""
    n = 4
    full = {
        "indptr": np.arange(0, n * (n - 1) + 1, n - 1),
        "indices": np.array([j for i in range(n) for j in range(n) if i != j], np.int32),
        "data": np.full(n * (n - 1), 0.9),
        "roots": np.ones(n),
    }
    with pytest.raises(ArrayError, match="do not prove"):
        graph_of_parts(full)
    assert graph_of_parts(full | {"data": full["data"] / 2.7}).edges == 6


def changed(name: str, place: int, value: float) -> dict[str, Any]:
    made = parts()
    made[name][place] = value
    return made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (changed("indptr", 0, 1), "must rise from 0"),
        (changed("indptr", 5, 10**9), "must rise from 0"),
        (changed("indptr", 5, -(2**62)), "must rise from 0"),
        (changed("indptr", -1, 3), "must rise from 0"),
        (changed("indices", 0, -1), "nodes 0 to 39"),
        (changed("indices", 0, 40), "nodes 0 to 39"),
        (changed("indices", 1, 0), "rise in each row"),
        (changed("data", 0, np.nan), "weights must be finite"),
        (changed("data", 0, -0.1), "weights must be finite, and above 0"),
        (changed("data", 0, 1e-3), "same both ways"),
        (changed("roots", 0, 0), "roots must be finite, and above 0"),
        (changed("roots", 0, np.inf), "roots must be finite"),
        (changed("roots", 0, 1e300), "do not prove"),
        (parts() | {"roots": np.ones(3)}, "a root for each"),
        (parts() | {"indices": parts()["indices"].astype(float)}, "integers for its places"),
        (parts() | {"data": parts()["data"].astype(np.float32)}, "float64"),
        (parts() | {"data": parts()["data"][None]}, "one side each"),
        (parts() | {"indptr": np.zeros(0, np.int64), "roots": np.zeros(0)}, "a root for each"),
    ],
)
def test_what_is_no_graph_is_refused(made: dict[str, Any], message: str) -> None:
    with pytest.raises(ArrayError, match=message):
        graph_of_parts(made)


def test_a_graph_without_proof_is_not_written() -> None:
    with pytest.raises(ArrayError, match="cannot prove"):
        graph_parts(Graph(graph_of_parts(parts()).W))


@tiers("mutated graphs of a database")
def test_mutated_parts_are_refused_or_a_graph_that_can_be_solved_on(cases: range) -> None:
    good = parts()
    names = list(good)

    def judge(number: int, rng: np.random.Generator) -> str:
        if number % 3 == 0:  # the same both ways, so that the proof alone tells
            return outcome(good | {"data": good["data"] * 10 ** rng.uniform(-1, 1)})
        made = dict(good)
        for name in dict.fromkeys((names[number % 4], names[rng.integers(4)])):
            data = mutated(good[name].tobytes(), rng)
            made[name] = np.frombuffer(data[: len(data) // 8 * 8], good[name].dtype)
        return outcome(made)

    def outcome(made: dict[str, Any]) -> str:
        try:
            W = graph_of_parts(made).W.toarray()
        except ArrayError:
            return "refused"
        assert (W == W.T).all() and np.abs(np.linalg.eigvalsh(W)).max() <= 1 + 1e-6
        return "a graph"

    found = each(cases, judge)
    assert len(cases) / 20 < found["a graph"] < found["refused"]
