"""The neighbours of every vector are those that ranking finds, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from foreign_arrays import away, home

from dff_onnx.errors import ArrayError, UsageError
from dff_onnx.retrieval import normalized, rank
from dff_onnx.retrieval.graphs import nearest_neighbours, neighbours


def vectors(n: int, dtype: Any = np.float32, twins: bool = False) -> Any:
    V = normalized(np.random.default_rng(0).normal(0, 1, (n, 16)))
    V[n // 2 :] = V[: n - n // 2] if twins else V[n // 2 :]
    return V.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("twins", [False, True])
@pytest.mark.parametrize("products", [1, 7000, 2**25])
def test_they_are_those_of_ranking_whatever_the_blocks(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, twins: bool, products: int
) -> None:
    V = vectors(600, dtype, twins)
    monkeypatch.setattr(neighbours, "PRODUCTS", products)
    monkeypatch.setattr(neighbours, "MOST", 128)
    ours, theirs = nearest_neighbours(V, 9), rank(V, V, 9)
    assert ours.indices.tobytes() == theirs.indices.tobytes()
    assert ours.scores.tobytes() == theirs.scores.tobytes()


def test_of_equals_the_lower_index_is_first() -> None:
    V = np.ones((4, 1), np.float32)
    assert nearest_neighbours(V, 3).indices.tolist() == [[0, 1, 2]] * 4


def test_more_than_there_are_are_all() -> None:
    assert nearest_neighbours(vectors(3), 50).indices.shape == (3, 3)
    assert nearest_neighbours(vectors(1), 5).indices.tolist() == [[0]]


def test_it_runs_on_a_foreign_device() -> None:
    V = vectors(50)
    ours, theirs = nearest_neighbours(V, 5), nearest_neighbours(away(V), 5)
    np.testing.assert_array_equal(home(theirs.indices), ours.indices)
    np.testing.assert_array_equal(home(theirs.scores), ours.scores)


def test_what_has_no_neighbours_is_refused() -> None:
    with pytest.raises(UsageError, match="k: at least one"):
        nearest_neighbours(vectors(3), 0)
    with pytest.raises(ArrayError, match="neither of them 0"):
        nearest_neighbours(vectors(3)[:0], 1)
    with pytest.raises(ArrayError, match="not finite"):
        nearest_neighbours(np.full((2, 2), np.nan, np.float32), 1)
