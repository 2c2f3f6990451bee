"""Ways to rank, on clusters that lie on curves: the ends of a curve are alike along it only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from fake_backbone import Colours
from retrieval_scenes import write_scenes
from typer.testing import CliRunner

from dff_onnx.cli import app
from dff_onnx.datasets import read_class_folders
from dff_onnx.errors import UsageError
from dff_onnx.evaluation import Reranking, RetrievalPlan, evaluate_retrieval, retrieval_systems
from dff_onnx.evaluation.reranking import Vectors, rankings
from dff_onnx.evaluation.retrieval_systems import WITH_PARTS
from dff_onnx.retrieval import normalized

WAYS = ("none", "aqe", "alpha-qe", "diffusion", "fsr:20", "offline", "rmatch", "regional", "regional-fsr:60")
EACH = 20


def curves() -> tuple[Any, Any]:
    """Three half circles in eight dimensions, which meet in the middle."""
    rng = np.random.default_rng(0)
    turn = np.tile(np.linspace(-1.2, 1.2, EACH), 3)
    which = np.repeat(np.arange(3), EACH)
    V = np.zeros((3 * EACH, 8))
    V[np.arange(3 * EACH), 2 + which] = np.sin(turn)
    V[:, 0] = 0.6 * np.cos(turn)
    V[:, 5 + which.max()] = 0.1
    V[np.arange(3 * EACH), 5 + which] += 0.25
    return normalized(V + rng.normal(0, 0.01, V.shape)).astype(np.float32), which


def precision(order: Any, which: Any, query: int) -> float:
    return float(np.mean(which[order[:EACH]] == which[query]))


@pytest.mark.parametrize("word", WAYS)
def test_every_way_ranks_every_picture_once_and_the_query_first(word: str) -> None:
    V, _ = curves()
    some = Vectors(V, [np.stack([v, v]) for v in V])
    found = list(rankings(Reranking.parsed(word, neighbours=6, entries=3), some, some))
    assert len(found) == len(V)
    for order in found:
        assert sorted(order.tolist()) == list(range(len(V)))
    if word in ("none", "aqe", "rmatch"):
        assert sum(order[0] == at for at, order in enumerate(found)) > 0.8 * len(V)


def test_along_the_graph_a_curve_is_found_whole() -> None:
    V, which = curves()
    some, of = Vectors(V, [v[None] for v in V]), {}
    for word in ("none", "diffusion", "fsr:60", "offline", "regional"):
        found = list(rankings(Reranking.parsed(word, neighbours=5, entries=2), some, some))
        of[word] = float(np.mean([precision(order, which, at) for at, order in enumerate(found)]))
    assert of["none"] < 0.85
    for word in ("diffusion", "fsr:60", "offline", "regional"):
        assert of[word] > 0.95, word


def test_at_full_rank_spectral_and_offline_ranking_are_diffusion() -> None:
    V, _ = curves()
    some = Vectors(V)
    expected = list(rankings(Reranking("diffusion", neighbours=8, entries=3), some, some))
    for how in (Reranking("fsr", 60, 8, 3), Reranking("offline", neighbours=8, entries=3)):
        for order, wanted in zip(rankings(how, some, some), expected, strict=True):
            assert (order[:EACH] == wanted[:EACH]).mean() > 0.7
            assert len(np.intersect1d(order[:EACH], wanted[:EACH])) >= EACH - 1


def test_what_the_graph_does_not_reach_comes_by_similarity() -> None:
    V = normalized(np.array([[1, 0, 0], [0.95, 0.2, 0], [0.1, 1, 0], [0.0, 0.2, 1]])).astype(np.float32)
    [order, *_] = rankings(Reranking("diffusion", neighbours=2, entries=1), Vectors(V[:1]), Vectors(V))
    assert order.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("way", ["rmatch", "regional", "regional-fsr"])
def test_a_query_without_parts_asks_with_itself(way: Any) -> None:
    V, _ = curves()
    images = Vectors(V, [np.stack([v, v]) for v in V])
    how = Reranking(way, neighbours=6, entries=3)
    expected = rankings(how, Vectors(V[3:5], [V[3:4], V[4:5]]), images)
    zeros = np.zeros((2, V.shape[1]), np.float32)
    for order, wanted in zip(rankings(how, Vectors(V[3:5], [V[:0], zeros]), images), expected, strict=True):
        assert order.tolist() == wanted.tolist()


@pytest.mark.parametrize("way", ["rmatch", "regional", "regional-fsr"])
def test_an_image_without_parts_is_ranked_with_the_others(way: Any) -> None:
    V, _ = curves()
    images = Vectors(V, [V[:0], *(v[None] for v in V[1:])])
    for order in rankings(Reranking(way, neighbours=6, entries=3), images, images):
        assert sorted(order.tolist()) == list(range(len(V)))
    nothing = Vectors(V, [V[:0]] * len(V))
    assert [order.tolist() for order in rankings(Reranking(way), nothing, nothing)] == [
        order.tolist() for order in rankings(Reranking(), nothing, nothing)
    ]


def test_matches_that_differ_by_less_than_single_precision_are_equal_as_in_a_search() -> None:
    query = np.array([[1, 1e-3]], np.float32)
    parts = [np.array([[0.5, 0]], np.float32), np.array([[0.5, 1e-6]], np.float32)]  # the second by 1e-9 more
    images = Vectors(np.array([[1, 0], [0, 1]], np.float32), parts)
    [order] = rankings(Reranking("rmatch"), Vectors(query, [query]), images)
    assert order.tolist() == [0, 1]


def test_rows_of_a_table_are_named_after_their_way(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 4)
    ways = tuple(Reranking.parsed(word, neighbours=4, entries=3) for word in WAYS)
    plan = RetrievalPlan(retrieval_systems(["rmac", "dff"], [3], size=64), rerank=ways)
    figures = evaluate_retrieval(read_class_folders(root), Colours(), plan)
    names = [one.name for one in figures.systems]
    assert names[:3] == ["rmac", "rmac/aqe", "rmac/alpha-qe"] and len(names) == 2 * len(WAYS)
    for name in names:
        assert all(one.ap is not None and one.ap >= 0.9 for one in figures.of(name, "classic")), name
    assert figures.systems[4].settings["rerank"] == {"way": "fsr:20", "neighbours": 4, "entries": 3}


def test_a_graph_of_everyone_forgets_the_query(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 4)
    ways = tuple(Reranking.parsed(word, neighbours=12, entries=3) for word in ("none", "diffusion"))
    figures = evaluate_retrieval(
        read_class_folders(root), Colours(), RetrievalPlan(retrieval_systems(["rmac"], size=64), rerank=ways)
    )
    near, far = ([one.ap or 0 for one in figures.of(name, "classic")] for name in ("rmac", "rmac/diffusion"))
    assert min(near) == 1 and np.mean(far) < 0.6


def test_ways_that_cannot_be_are_refused() -> None:
    systems = retrieval_systems(["mac", "rmac"])
    with pytest.raises(UsageError, match="mac has none"):
        RetrievalPlan(systems, rerank=(Reranking("regional"),))
    with pytest.raises(UsageError, match="each way once"):
        RetrievalPlan(systems, rerank=(Reranking(), Reranking()))
    with pytest.raises(UsageError, match=r"--neighbours: .* at least 2"):
        Reranking("diffusion", neighbours=1)
    for ways in (("none",), ("aqe", "rmatch")):
        with pytest.raises(UsageError, match="--neighbours: no way"):
            RetrievalPlan(systems[1:], rerank=tuple(Reranking.parsed(way, neighbours=5) for way in ways))
    with pytest.raises(UsageError, match="--query-neighbours: no way"):
        RetrievalPlan(systems[1:], rerank=(Reranking("rmatch", entries=5),))
    for way in ("aqe", "regional"):
        RetrievalPlan(systems[1:], rerank=(Reranking(entries=5), Reranking.parsed(way, entries=5)))
    for word in ("best", "fsr:x", "fsr:0", "aqe:3", "diffusion:9"):
        with pytest.raises(UsageError, match="--rerank"):
            Reranking.parsed(word)


def test_the_help_names_the_systems_with_regions() -> None:
    command = typer.main.get_command(app).commands["eval"].commands["retrieval"]  # type: ignore[attr-defined]
    [told] = [option.help for option in command.params if option.name == "rerank"]
    assert f"systems with regions: {', '.join(WITH_PARTS)}." in told


def test_the_command_ranks_along_the_graph(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", 3)
    said = ["eval", "retrieval", str(root), "--systems", "rmac", "--size", "64", "--rerank", "none,diffusion,fsr:3"]
    result = CliRunner().invoke(app, said)
    assert result.exit_code == 0, result.output
    assert "rmac/diffusion" in result.stdout and "rmac/fsr:3" in result.stdout
