"""Exact ranking: one answer, however the database is cut, the queries are grouped, or a product rounds."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import Ranking, merge, normalized, rank, ranking
from dff_onnx.retrieval.products import Rows, exact_products, slack

KINDS = [
    "plain",
    "duplicates",
    "one vector",
    "few values",
    "zeros",
    "near ties",
    "lengths",
    "float16",
    "falling",
]
# The same cases every time: a sum that cancels to nearly nothing may round apart from the rational one.
THOROUGH = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def database(kind: str, n: int, c: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    V = normalized(rng.normal(0, 1, (n, c))).astype(np.float32)
    if kind == "duplicates":
        V = V[rng.integers(0, max(1, n // 5), n)]
    elif kind == "one vector":
        V[:] = V[:1]
    elif kind == "few values":
        V = rng.integers(-1, 2, (n, c)).astype(np.float32)
    elif kind == "zeros":
        V *= rng.random((n, 1)).astype(np.float32) < 0.3
    elif kind == "near ties":  # apart by less than a float32 product can tell
        V = (V[:1] + rng.normal(0, 3e-8, (n, c))).astype(np.float32)
    elif kind == "lengths":
        V = (V * 10.0 ** rng.integers(-6, 7, (n, 1))).astype(np.float32)
    elif kind == "float16":
        V = V.astype(np.float16)
    elif kind == "falling":
        V = V[np.argsort(V @ V[0])]
    return V


def by_loop(queries: Any, vectors: Any, k: int) -> tuple[Any, Any]:
    """Scores in rational numbers, rounded once, sorted as the module says."""
    scores, indices = [], []
    for q in queries.astype(np.float64).tolist():
        exact = [sum(Fraction(a) * Fraction(b) for a, b in zip(q, x, strict=True))
                 for x in vectors.astype(np.float64).tolist()]  # fmt: skip
        rounded = [np.float32(float(value)) for value in exact]
        best = sorted(range(len(rounded)), key=lambda i: (-rounded[i], i))[:k]
        indices.append(best)
        scores.append([rounded[i] for i in best])
    return np.array(scores, np.float32), np.array(indices)


def cut(vectors: Any, data: st.DataObject) -> list[Any]:
    places = data.draw(st.lists(st.integers(0, len(vectors)), max_size=6).map(sorted))
    return np.split(vectors, places)


def same(ours: Ranking, theirs: Ranking) -> None:
    assert ours.scores.tobytes() == theirs.scores.tobytes()
    assert ours.indices.tobytes() == theirs.indices.tobytes()


def test_scores_and_indices_are_figures_worked_by_hand() -> None:
    vectors = np.array([[1, 0], [0, 2], [1, 1], [1, 0], [-1, 0]], np.float32)
    found = rank(np.array([[1, 0], [0, 1]], np.float32), vectors, 4)
    assert found.indices.tolist() == [[0, 2, 3, 1], [1, 2, 0, 3]]
    assert found.scores.tolist() == [[1, 1, 1, 0], [2, 1, 0, 0]]
    assert (found.scores.dtype, found.indices.dtype) == (np.float32, np.int64)


@THOROUGH
@given(
    kind=st.sampled_from(KINDS), n=st.integers(1, 40), c=st.sampled_from([1, 2, 3, 7, 16, 33]),
    m=st.integers(1, 4), k=st.integers(1, 45), seed=st.integers(0, 9999), slab=st.integers(1, 41),
    data=st.data(),
)  # fmt: skip
def test_the_answer_is_that_of_rational_numbers_for_any_cut(
    kind: str, n: int, c: int, m: int, k: int, seed: int, slab: int, data: st.DataObject, monkeypatch: Any
) -> None:
    monkeypatch.setattr(ranking, "VECTORS", slab)
    monkeypatch.setattr(ranking, "QUERIES", data.draw(st.integers(1, 4)))
    V = database(kind, n, c, seed)
    queries = np.concatenate([V[: m - 1], database("plain", 1, c, seed + 1).astype(V.dtype)])
    scores, indices = by_loop(queries, V, k)
    found = rank(queries, iter(cut(V, data)), k)
    assert found.indices.tolist() == indices.tolist()
    assert found.scores.tolist() == scores.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_large_databases_have_one_answer_for_every_size_of_blocks_and_of_queries(kind: str, monkeypatch: Any) -> None:
    V = database(kind, 3000, 130, 3)
    queries = V[::500]
    whole = rank(queries, V, 20)
    exact = (queries.astype(np.float64) @ V.astype(np.float64).T).astype(np.float32)
    order = np.argsort(-exact, axis=1, kind="stable")[:, :20]
    np.testing.assert_allclose(whole.scores, np.take_along_axis(exact, order, 1), rtol=1e-6, atol=1e-7)
    for size in (1, 7, 64, 1000, 2999):
        if size > 1:
            same(rank(queries, [V[i : i + size] for i in range(0, 3000, size)], 20), whole)
        monkeypatch.setattr(ranking, "VECTORS", 17 * size)
        monkeypatch.setattr(ranking, "QUERIES", size)
        same(rank(queries, V, 20), whole)
    for i, query in enumerate(queries):
        alone = rank(query[None], V, 20)
        assert alone.scores.tobytes() == whole.scores[i].tobytes()
        assert alone.indices.tobytes() == whole.indices[i].tobytes()


def test_equal_vectors_come_by_their_index_also_when_only_some_have_a_place() -> None:
    V = np.ones((5000, 24), np.float32) / 24**0.5
    assert rank(V[:2], V, 7).indices.tolist() == [[*range(7)]] * 2
    V[4000:4003] *= 2
    assert rank(V[:1], V, 5).indices.tolist() == [[4000, 4001, 4002, 0, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_cancel_below_the_rounding_of_float32_are_ranked_rightly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.integers(-(2**20), 2**20, (800, 64)) * 2.0**-20
    V = np.concatenate([half, -half], axis=1).astype(np.float32)
    V[:, 0] *= 2.0**-10
    V[:, 64] = -V[:, 0] + rng.integers(0, 60, 800).astype(np.float32) * 2.0**-30
    queries = np.ones((2, 128), np.float32)
    rough = queries[:1] @ V.T
    exact = V.astype(np.float64).sum(axis=1)  # whole multiples of 2^-30: nothing is rounded
    order = np.argsort(-exact, kind="stable")[:5]
    assert np.argsort(-rough[0], kind="stable")[:5].tolist() != order.tolist()
    found = rank(queries, V, 5)
    assert found.indices.tolist() == [order.tolist()] * 2
    assert found.scores.tolist() == [exact[order].tolist()] * 2


def test_products_are_added_by_halves() -> None:
    # (1 - 1) + (2^-54 + 2^-54): from left to right the first small one would be lost.
    terms = np.array([[1, 2.0**-27, -1, 2.0**-27]], np.float32)
    assert exact_products(terms, np.abs(terms), np.array([0]), np.array([0])).tolist() == [2.0**-53]


def test_few_scores_are_computed_exactly(monkeypatch: Any) -> None:
    computed = []

    def counted(left: Any, right: Any, rows: Any, columns: Any) -> Any:
        computed.append(len(rows))
        return exact_products(left, right, rows, columns)

    monkeypatch.setattr(ranking, "exact_products", counted)
    monkeypatch.setattr(ranking, "VECTORS", 1000)
    for kind in ("plain", "falling"):  # falling comes with the best at the end
        computed.clear()
        V = database(kind, 20_000, 32, 0)
        rank(V[:3], V, 10)
        assert sum(computed) < 0.04 * 3 * 20_000


def test_a_product_in_float32_is_never_off_by_more_than_its_slack() -> None:
    rng = np.random.default_rng(0)
    for c in (1, 30, 512, 4096):
        for spread, scale in ((0, 1), (5, 1), (0, 1e16)):  # squares of 1e-27 vanish
            Q, V = ((rng.normal(0, 1, (20, c)) * 10 ** rng.uniform(-spread, spread, (20, c))).astype(np.float32)
                    for _ in range(2))  # fmt: skip
            Q, V = Q * np.float32(scale), V * np.float32(scale**-1.7)
            pairs = (index.reshape(-1) for index in np.indices((20, 20)))
            off = np.abs((Q @ V.T).reshape(-1).astype(np.float64) - exact_products(Q, V, *pairs))
            assert (off <= np.repeat(slack(Rows.of(Q, "q"), Rows.of(V, "v")), 20)).all()


@given(st.integers(1, 70), st.integers(0, 999))
@settings(deadline=None)
def test_exact_products_depend_on_their_vectors_alone(c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    Q, V = (rng.normal(0, 1, (9, c)).astype(np.float32) for _ in range(2))
    rows, columns = rng.integers(0, 9, (2, 50))
    together = exact_products(Q, V, rows, columns)
    alone = [exact_products(Q, V, rows[i : i + 1], columns[i : i + 1])[0] for i in range(50)]
    assert together.tobytes() == np.array(alone).tobytes()
    foreign = home(exact_products(*(away(array) for array in (Q, V, rows, columns))))
    assert together.tobytes() == foreign.tobytes()


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), n=st.integers(1, 40), k=st.integers(1, 12), seed=st.integers(0, 999),
       data=st.data())  # fmt: skip
def test_parts_ranked_apart_are_merged_to_the_ranking_of_the_whole(
    kind: str, n: int, k: int, seed: int, data: st.DataObject
) -> None:
    V = database(kind, n, 5, seed)
    parts, start = [], 0
    for part in cut(V, data):
        found = rank(V[:3], part, k)
        parts.append(Ranking(found.scores, found.indices + start))
        start += len(part)
    same(merge(data.draw(st.permutations(parts)), k), rank(V[:3], V, k))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "float16"])
def test_it_runs_on_a_foreign_device_to_the_bit(kind: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(ranking, "VECTORS", 100)
    V = database(kind, 300, 12, 1)
    ours = rank(V[:5], V, 8)
    for blocks in (away(V), [away(V[:130]), away(V[130:])], [V[:200], V[200:]]):
        theirs = rank(away(V[:5]), blocks, 8)
        same(Ranking(home(theirs.scores), home(theirs.indices)), ours)
    both = merge([theirs, Ranking(theirs.scores, theirs.indices + 300)], 8)
    assert home(both.scores)[:, 0].tolist() == ours.scores[:, 0].tolist()


def test_float16_is_ranked_as_the_float32_it_becomes() -> None:
    V = database("float16", 400, 20, 0)
    same(rank(V[:4], V, 9), rank(V[:4].astype(np.float32), V.astype(np.float32), 9))


def test_fewer_vectors_than_places_are_all_ranked() -> None:
    V = database("plain", 3, 4, 0)
    assert rank(V, V, 10).indices.shape == (3, 3)
    assert rank(V, [], 10).indices.shape == rank(V, V[:0], 10).scores.shape == (3, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_values_that_have_no_score_are_refused(bad: float) -> None:
    V = database("plain", 10, 4, 0)
    broken = V.copy()
    broken[6, 2] = bad
    with pytest.raises(ArrayError, match="queries: a value is not finite, or too large"):
        rank(broken, V, 2)
    with pytest.raises(ArrayError, match="vectors from 5 on: a value is not finite"):
        rank(V, [broken[:5], broken[5:]], 2)


def test_vectors_as_long_as_float32_allows_and_as_short_are_ranked() -> None:
    for scale in (1e18, 1e-30):
        V = database("plain", 200, 4, 0) * np.float32(scale)
        found = rank(V[:3], V, 3)
        exact = V[:3].astype(np.float64) @ V.astype(np.float64).T
        assert np.isfinite(found.scores).all()
        np.testing.assert_allclose(found.scores, -np.sort(-exact, axis=1)[:, :3], rtol=1e-6, atol=1e-45)


def test_arguments_that_cannot_be_are_refused() -> None:
    V = database("plain", 10, 4, 0)
    with pytest.raises(UsageError, match="k: at least one is needed, found 0"):
        rank(V, V, 0)
    with pytest.raises(UsageError, match="k: at least one is needed"):
        merge([rank(V, V, 1)], 0)
    with pytest.raises(ArrayError, match=r"queries \(m, c\) are needed"):
        rank(V[0], V, 1)
    with pytest.raises(ArrayError, match=r"queries have 4 channels, and a block of vectors is \(10, 3\)"):
        rank(V, V[:, :3], 1)
    with pytest.raises(ArrayError, match="a block of vectors is"):
        rank(V, iter(V), 1)  # vectors, not blocks of them
    for rankings in ([], [rank(V, V, 1), rank(V[:2], V, 1)]):
        with pytest.raises(ArrayError, match="rankings of the same queries are needed"):
            merge(rankings, 1)
