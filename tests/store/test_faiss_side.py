"""A graph beside an index: made of it, refused once it is old."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from made_entries import entry, identity_of
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.store import Entry, SqliteStore, Stamp, open_store
from dff_onnx.store.faiss_side import FaissSide, beside, freshness, recall


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, 32))
    return (centres[np.arange(2000) % 50] + 0.3 * rng.standard_normal((2000, 32))).astype(np.float16)


@pytest.fixture
def store(path: Path, rows: np.ndarray, request: pytest.FixtureRequest):
    request.getfixturevalue("faiss_here")
    with SqliteStore.write(path, identity_of(dimensions=32)) as store:
        store.put([Entry(f"{n:04}.jpg", Stamp(n, ""), row, row[None], [box()], [1.0]) for n, row in enumerate(rows)])
        yield store


def box():
    from dff_onnx.records import Box

    return Box(0, 0, 1, 1)


def test_a_graph_finds_most_of_the_exact_neighbours(store: SqliteStore, rows: np.ndarray, path: Path) -> None:
    built = FaissSide.build(store, beside(path))
    opened = FaissSide.open(store, beside(path))
    queries = rows[::100].astype(np.float32)
    exact = 1 + np.argsort(-(queries @ rows.astype(np.float32).T), kind="stable")[:, :10]
    assert recall(built(queries, 10), exact) > 0.9
    assert (built(queries, 10) == opened(queries, 10)).all()
    assert (opened(queries[:1], 3000)[0] == -1).sum() >= 1000


def test_a_graph_older_than_its_index_is_refused(store: SqliteStore, path: Path) -> None:
    FaissSide.build(store, beside(path))
    store.put([entry("new.jpg", dimensions=32)])
    with pytest.raises(StoreError, match=r"index\.db\.images\.faiss: was built of other images than .*build it anew"):
        FaissSide.open(store, beside(path))
    FaissSide.build(store, beside(path))
    FaissSide.open(store, beside(path))
    store.compact()
    FaissSide.open(store, beside(path))


def test_a_graph_of_images_is_none_of_regions(store: SqliteStore, path: Path) -> None:
    FaissSide.build(store, path.with_name("x"), "regions")
    assert FaissSide.open(store, path.with_name("x"), "regions")(np.ones((1, 32)), 2).shape == (1, 2)
    with pytest.raises(StoreError, match="was built of other images"):
        FaissSide.open(store, path.with_name("x"))


def test_a_damaged_graph_is_refused_before_faiss_reads_it(store: SqliteStore, path: Path) -> None:
    FaissSide.build(store, beside(path))
    whole = beside(path).read_bytes()
    for bad in (b"", b"{}", b"[]\n", b"[" * 5000, whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole[5:]):
        beside(path).write_bytes(bad)
        with pytest.raises(StoreError, match="is no graph of an index, or is damaged; build it anew"):
            FaissSide.open(store, beside(path))
    beside(path).unlink()
    with pytest.raises(UsageError, match=r"cannot be read .* build it first"):
        FaissSide.open(store, beside(path))


@pytest.mark.usefixtures("faiss_here")
def test_an_empty_index_has_no_graph(path: Path) -> None:
    with SqliteStore.write(path, identity_of()) as store, pytest.raises(StoreError, match="holds no images yet"):
        FaissSide.build(store, beside(path))


def test_what_is_not_installed_is_named_with_how_to_get_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    store = SqliteStore.write(path, identity_of())
    with pytest.raises(UsageError, match=r"pip install 'dff-onnx\[ann\]'"):
        FaissSide.build(store, beside(path))
    with pytest.raises(UsageError, match=r"pip install 'dff-onnx\[postgres\]'"):
        open_store("postgresql://localhost/x")
    store.close()


@tiers("mutated graphs beside indexes")
@pytest.mark.usefixtures("faiss_here")
def test_a_mutated_graph_is_refused_or_answers_as_before(cases: range, path: Path) -> None:
    with SqliteStore.write(path, identity_of()) as store:
        store.put([entry(f"{n}.jpg", seed=n) for n in range(40)])
        queries = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
        before = FaissSide.build(store, beside(path))(queries, 5)
        whole = beside(path).read_bytes()
        head = whole.index(b"\n")

        def judge(number: int, rng: np.random.Generator) -> str:
            parts = (mutated(whole[:head], rng) + whole[head:], whole[:head] + mutated(whole[head:], rng))
            beside(path).write_bytes(parts[number % 2])
            said = freshness(store)
            try:
                found = FaissSide.open(store, beside(path))
            except StoreError as error:
                assert str(beside(path)) in str(error) and "build it anew" in str(error)
                return "refused"
            assert said == "fresh" and (found(queries, 5) == before).all()
            return "as before"

        assert each(cases, judge)["refused"] > len(cases) / 2
