"""Reranked searches: the same as the published way written out, whatever was prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backbone import Colours

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.report.search_found import Part, SearchFound
from dff_onnx.retrieval import normalized
from dff_onnx.runs import graph_parts, rerank
from dff_onnx.runs.graph_file import write_graph
from dff_onnx.runs.graph_parts import graph_beside, made_graph_parts
from dff_onnx.runs.search import SearchSettings, search
from dff_onnx.store import Entry, Identity, Stamp, VectorStore, write_store

N, REGIONS = 120, 3


def manifold() -> Any:
    """Images on four curves, which regions share; the query is at the end of the first."""
    rng = np.random.default_rng(0)
    turn = np.repeat(np.linspace(0, 2, N // 4)[None], 4, axis=0)
    flat = np.zeros((4, N // 4, 12))
    for curve in range(4):
        flat[curve, :, 3 * curve] = np.cos(turn[curve])
        flat[curve, :, 3 * curve + 1] = np.sin(turn[curve])
    images = normalized(flat.reshape(N, 12) + 0.05 * rng.normal(size=(N, 12))).astype(np.float32)
    regions = np.repeat(images, REGIONS, axis=0) + 0.1 * rng.normal(size=(N * REGIONS, 12))
    return images, normalized(regions).astype(np.float32).reshape(N, REGIONS, 12)


IMAGES, OF_IMAGES = manifold()
QUERY = np.concatenate([IMAGES[:1], OF_IMAGES[0]])


class Fixed:
    """Describes every picture by the query."""

    settings = None

    def read(self, path: Path, _box: Box | None = None) -> Any:
        return path

    def describe(self, _picture: Any, _name: str | None = None) -> Any:
        return self

    vector, parts = QUERY[0], QUERY[1:]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with write_store(tmp_path / "i.db", Identity(Colours.fingerprint, "dff", 12, {}, "float32")) as made:
        boxes = [Box(0, 0, 1, 1)] * REGIONS
        made.put(
            [Entry(f"{i:03}", Stamp(1, f"{i}"), IMAGES[i], OF_IMAGES[i], boxes, [1.0] * REGIONS) for i in range(N)]
        )
        yield made


def ask(store: VectorStore, way: Any, **how: Any) -> SearchFound:
    graph = how.pop("graph", None)
    settings = SearchSettings(rerank=way, **{"top": N, **how})
    return search(store, Fixed(), Part(Path("q")), settings, graph=graph)  # type: ignore[arg-type]


def prepared(store: VectorStore, kind: Any = "images", **how: Any) -> Path:
    write_graph(store, graph_beside(store, kind), made_graph_parts(store, kind, **how))
    return graph_beside(store, kind)


def as_published(V: Any, queries: Any, k: int, kept: int) -> Any:
    """f of `(I - alpha W) f = y`, times `1 - alpha`, with dense matrices."""
    S = V.astype(float) @ V.T.astype(float)
    among = np.zeros(S.shape, bool)
    np.put_along_axis(among, np.argsort(-S, axis=1, kind="stable")[:, :k], True, axis=1)
    A = np.where(among & among.T, np.maximum(S, 0) ** 3, 0)
    np.fill_diagonal(A, 0)
    roots = np.array([0 if d == 0 else d**-0.5 for d in A.sum(axis=1)])
    sums = np.zeros(len(V))
    for query in queries.astype(float):
        near = np.argsort(-(V @ query), kind="stable")[: max(k, kept)]
        sums[near] += V[near] @ query
    y = np.zeros(len(V))
    y[np.argsort(-sums, kind="stable")[:kept]] = np.maximum(np.sort(sums)[::-1][:kept], 0) ** 3
    return 0.01 * np.linalg.solve(np.eye(len(V)) - 0.99 * (roots[:, None] * A * roots), y)


def scores_of(found: SearchFound) -> Any:
    scores = np.zeros(N)
    for one in found.results:
        scores[int(one.path)] = one.score
    return scores


def pooled(x: Any) -> Any:
    made = np.zeros(N)
    for i in range(N):
        V = OF_IMAGES[i].astype(float)
        weights = np.linalg.solve(V @ V.T + np.eye(REGIONS), np.ones(REGIONS))
        made[i] = weights @ x[i * REGIONS : (i + 1) * REGIONS]
    return made


def test_diffusion_is_the_published_one_and_goes_along_the_curve(store: VectorStore, monkeypatch: Any) -> None:
    monkeypatch.setitem(graph_parts.NEIGHBOURS, "images", 10)
    found = ask(store, "diffusion")
    expected = as_published(IMAGES, QUERY[:1], 10, 10)
    np.testing.assert_allclose(scores_of(found), expected, atol=3e-3 * expected.max())
    far = {"029", "028", "027"}  # the curve's other end, which points away from the query
    plain = [one.path for one in ask(store, "none").results]
    reranked = [one.path for one in found.results]
    assert max(map(reranked.index, far)) < 30 < min(map(plain.index, far))
    told = found.settings["ranked"]
    assert told["graph"] == "made for this query" and told["nodes"] == N and told["of"] == "images"
    assert found.settings["rerank_with"] == 10 and 0 < told["residual"] < 0.1


def test_what_the_graph_does_not_reach_follows_by_similarity(store: VectorStore, monkeypatch: Any) -> None:
    monkeypatch.setitem(graph_parts.NEIGHBOURS, "images", 4)
    found = ask(store, "diffusion", rerank_with=2)
    plain = [one.path for one in ask(store, "none").results]
    reached = [one.path for one in found.results if one.score > 0]
    rest = [one.path for one in found.results if one.score == 0]
    assert reached and rest and sorted(reached + rest) == sorted(plain)
    assert rest == [path for path in plain if path not in reached]
    assert [one.path for one in ask(store, "diffusion", rerank_with=2, top=5).results] == (reached + rest)[:5]
    assert len(ask(store, "diffusion", rerank_with=2, top=len(reached) + 3).results) == len(reached) + 3


def test_regional_diffusion_pools_regions(store: VectorStore, monkeypatch: Any) -> None:
    monkeypatch.setitem(graph_parts.NEIGHBOURS, "regions", 20)
    found = ask(store, "regional", rerank_with=15)
    expected = pooled(as_published(OF_IMAGES.reshape(-1, 12), QUERY[1:], 20, 15))
    np.testing.assert_allclose(scores_of(found), expected, atol=3e-3 * expected.max())
    assert found.settings["ranked"]["of"] == "regions"


def test_regions_are_matched_one_by_one(store: VectorStore) -> None:
    found = ask(store, "rmatch")
    expected = [float((QUERY[1:] @ OF_IMAGES[i].T).max(axis=1).mean()) for i in range(N)]
    np.testing.assert_allclose(scores_of(found), expected, atol=1e-6)
    assert [one.path for one in found.results] == [f"{i:03}" for i in np.argsort(-np.array(expected), kind="stable")]


@pytest.mark.parametrize(("kind", "way"), [("images", "diffusion"), ("regions", "regional")])
def test_a_prepared_graph_gives_the_same_answer(store: VectorStore, kind: Any, way: Any) -> None:
    fresh = ask(store, way)
    prepared(store, kind)
    again = ask(store, way)
    assert again.results == fresh.results
    assert fresh.settings["ranked"] | {"graph": "prepared"} == again.settings["ranked"]


@pytest.mark.parametrize(("regions", "way"), [(False, "diffusion"), (True, "regional")])
def test_at_full_rank_and_untruncated_all_are_the_exact_diffusion(
    store: VectorStore, regions: bool, way: Any, monkeypatch: Any
) -> None:
    kind = "regions" if regions else "images"
    monkeypatch.setitem(graph_parts.NEIGHBOURS, kind, 12)
    prepared(store, kind, k=12, rank=N * REGIONS, offline=True)
    counted = 15  # more than the graph has neighbours
    if regions:
        exact = pooled(as_published(OF_IMAGES.reshape(-1, 12), QUERY[1:], 12, counted))
    else:
        exact = as_published(IMAGES, QUERY[:1], 12, counted)
    spectral = ask(store, "fsr", regions=regions, rerank_with=counted)
    np.testing.assert_allclose(scores_of(spectral), exact, atol=1e-4 * exact.max())
    offline = ask(store, "offline", regions=regions, rerank_with=counted)
    np.testing.assert_allclose(scores_of(offline), exact, atol=2e-2 * exact.max())
    assert [one.path for one in spectral.results[:20]] == [
        one.path for one in ask(store, way, rerank_with=counted).results[:20]
    ]


def test_a_large_index_is_cut_to_the_most_similar(store: VectorStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(rerank, "LARGEST", 60)
    monkeypatch.setattr(rerank, "SHORTLIST", 40)
    found = ask(store, "diffusion")
    plain = [one.path for one in ask(store, "none").results[:40]]
    assert found.settings["ranked"]["nodes"] == 40
    assert {one.path for one in found.results if one.score > 0} <= set(plain)
    regional = ask(store, "regional")
    assert regional.settings["ranked"]["nodes"] == 60
    assert {one.path for one in regional.results if one.score > 0} <= set(plain[:20])


def test_what_needs_preparation_says_how(store: VectorStore) -> None:
    for way, more in (("fsr", "--rank 500"), ("offline", "--offline")):
        with pytest.raises(UsageError, match=rf"--rerank {way}: needs .*images\.graph.*index-graph .* {more}"):
            ask(store, way)
    prepared(store)
    for way, more in (("fsr", "--rank 500"), ("offline", "--offline")):
        with pytest.raises(UsageError, match=rf"lacks what it needs; .*index-graph .* --of images {more}`"):
            ask(store, way)
    with pytest.raises(UsageError, match=r"elsewhere: there is no such file; make it with `dff-onnx index-graph"):
        ask(store, "diffusion", graph=Path("elsewhere"))
    with pytest.raises(UsageError, match=r"needs elsewhere, .* --rank 500 --graph elsewhere`"):
        ask(store, "fsr", graph=Path("elsewhere"))


def test_what_is_added_to_a_graph_leaves_the_rest_as_it_is(store: VectorStore, tmp_path: Path) -> None:
    prepared(store, k=9, rank=7)
    with pytest.raises(UsageError, match=r"index-graph .*i\.db --of images --k 9 --rank 7 --offline`"):
        ask(store, "offline")
    write_graph(store, tmp_path / "g", made_graph_parts(store, offline=True))
    with pytest.raises(UsageError, match=r" --of images --offline --rank 500 --graph .*/g`"):
        ask(store, "fsr", graph=tmp_path / "g")


def test_the_eigenvalues_that_were_asked_for_are_asked_for_again(store: VectorStore) -> None:
    prepared(store, rank=500)
    with pytest.raises(UsageError, match=r"--of images --rank 500 --offline`"):
        ask(store, "offline")
    store.delete(["003"])
    with pytest.raises(StoreError, match=r"make it again with `.* --of images --rank 500`"):
        ask(store, "diffusion")


def test_a_graph_of_the_other_kind_is_said_to_be_one(store: VectorStore) -> None:
    of_regions = prepared(store, "regions")
    with pytest.raises(UsageError, match=r"is a graph of regions, and one of images is needed.* --graph OTHER`"):
        ask(store, "diffusion", graph=of_regions)


def test_a_graph_older_than_its_index_is_refused(store: VectorStore) -> None:
    prepared(store)
    store.delete(["003"])
    with pytest.raises(StoreError, match=r"was made of other images than .* holds now; make it again with"):
        ask(store, "diffusion")
    with pytest.raises(StoreError, match=r"make it again with `.* --of images --rank 500`"):
        ask(store, "fsr")
    prepared(store, k=9, rank=7, offline=True)
    assert len(ask(store, "diffusion").results) == N - 1
    store.delete(["004"])
    for way in ("diffusion", "fsr", "offline"):
        with pytest.raises(StoreError, match=r"make it again with `.* --of images --k 9 --rank 7 --offline`"):
            ask(store, way)


def test_ways_that_do_not_go_together_are_refused(store: VectorStore) -> None:
    with pytest.raises(UsageError, match="whole images"):
        ask(store, "diffusion", regions=True)
    for way in ("none", "aqe", "alpha-qe", "rmatch"):
        with pytest.raises(UsageError, match=rf"--graph: --rerank {way} uses none"):
            ask(store, way, graph=Path("elsewhere"))
    with pytest.raises(UsageError, match=r"--k: .* at least 2 are needed; found 1"):
        made_graph_parts(store, k=1)
    with pytest.raises(UsageError, match=r"--rank: .* found -1"):
        made_graph_parts(store, rank=-1)
    with pytest.raises(UsageError, match="--rerank-with"):
        ask(store, "rmatch", rerank_with=3)
    with pytest.raises(UsageError, match="--also and --without"):
        search(store, Fixed(), Part(Path("q")), SearchSettings(rerank="regional"), also=[Part(Path("p"))])  # type: ignore[arg-type]
