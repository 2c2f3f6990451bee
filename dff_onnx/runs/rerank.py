"""Images of an index ranked by its graph, or region by region, with what was prepared or made at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.retrieval import rank
from dff_onnx.retrieval.graphs.diffusion import ALPHA
from dff_onnx.runs.graph_file import command, options_of, read_graph
from dff_onnx.runs.graph_parts import GraphParts, Nodes, graph_beside, parts_of_nodes
from dff_onnx.runs.graph_ranking import GraphRanking, matched
from dff_onnx.store import VectorStore
from dff_onnx.store.protocol import Kind

Rerank = Literal["none", "aqe", "alpha-qe", "diffusion", "regional", "offline", "fsr", "rmatch"]
# How many of the nearest count, where nobody says it.
COUNTED: dict[Rerank, int] = {"aqe": 10, "alpha-qe": 50, "diffusion": 10, "offline": 10, "fsr": 10, "regional": 200}
EXPANSIONS: tuple[Rerank, ...] = ("aqe", "alpha-qe")
OF_REGIONS: tuple[Rerank, ...] = ("regional", "rmatch")
BY_GRAPH: tuple[Rerank, ...] = ("diffusion", "regional", "offline", "fsr")
LARGEST = 20_000  # nodes of a graph that is made for one query
SHORTLIST = 10_000  # images that are left of more

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reranked:
    """Every image's score.

    Attributes:
        images: `(m,)` int64, ids, rising.
        scores: `(m,)` float64; 0 for an image that was not reached.
        how: it was done, plain values.
    """

    images: NDArray[np.int64]
    scores: Doubles
    how: Mapping[str, Any]


def check_graph_used(way: Rerank, graph: Path | None) -> None:
    """Before the work: refuses a graph that nobody would look at.

    Raises:
        UsageError: saying which ways use one.
    """
    if graph is not None and way not in BY_GRAPH:
        raise UsageError(f"--graph: --rerank {way} uses none; leave it out, or rank by {', '.join(BY_GRAPH)}")


def reranked(
    store: VectorStore,
    vector: Floats,
    parts: Floats,
    way: Rerank,
    *,
    regions: bool = False,
    counted: int | None = None,
    graph: Path | None = None,
) -> Reranked:
    """Scores of images by a graph, or by their regions one by one.

    Args:
        store: the index.
        vector: `(d,)` of the query.
        parts: `(p, d)` of its regions.
        way: neither `none` nor an expansion.
        regions: whether nodes are regions; of `regional` and `rmatch` they are.
        counted: nearest nodes at which the query enters; by default 10 of images and 200 of regions.
        graph: the file of what was prepared; by default that beside the index, if there is one.

    Raises:
        UsageError: when `way` needs what was not prepared.
        StoreError: when the index has nothing of the kind, or what was prepared is damaged or old.
    """
    kind: Kind = "regions" if regions or way in OF_REGIONS else "images"
    nodes = Nodes.of(store, kind)
    if way == "rmatch":
        return Reranked(nodes.images, matched(nodes, parts), {"of": kind, "query_regions": len(parts)})
    counted = counted or COUNTED["regional" if kind == "regions" else "diffusion"]
    made, told = _prepared(store, kind, graph, way), "prepared"
    if made is None:
        nodes, told = _shortlist(store, nodes, vector, kind), "made for this query"
        made = parts_of_nodes(nodes, kind)
    ranking = GraphRanking.of(nodes, made, "diffusion" if way not in ("fsr", "offline") else way)
    scores, solved = ranking.scores(ranking.entered(parts if kind == "regions" else vector[None], counted))
    how = {"graph": told, "of": kind, "nodes": len(nodes.ids), "k": made.k, "alpha": ALPHA, **solved}
    return Reranked(nodes.images, scores, how)


def _prepared(store: VectorStore, kind: Kind, given: Path | None, way: Rerank) -> GraphParts | None:
    """What was made beforehand; None where there is nothing and the way can do without."""
    needs = {"fsr": " --rank 500", "offline": " --offline"}.get(way, "")
    if given is None and not needs:
        path = Path(store.where)
        if not path.is_file() or not graph_beside(store, kind).is_file():
            return None
    path = graph_beside(store, kind, given)
    if needs and not path.is_file():
        raise UsageError(f"--rerank {way}: needs {path}, which `{command(store, kind, needs, path)}` makes")
    made = read_graph(store, path, kind, needs)
    if (way == "fsr" and made.spectrum is None) or (way == "offline" and made.solutions is None):
        whole = command(store, kind, options_of(made) + needs, path)
        raise UsageError(f"--rerank {way}: {path} lacks what it needs; make it again, with all, by `{whole}`")
    return made


def _shortlist(store: VectorStore, nodes: Nodes, vector: Floats, kind: Kind) -> Nodes:
    """All nodes of a small index; of a large one those of the most similar images, as many as one query can wait for.

    Of regions, the images are taken in their order until there are `LARGEST` regions.
    """
    if len(nodes.ids) <= LARGEST:
        return nodes
    whole = nodes if kind == "images" else Nodes.of(store, "images")
    best = whole.images[rank(vector[None], whole.vectors, SHORTLIST).indices[0]]
    best = best[np.isin(best, nodes.images)]
    counts = np.bincount(nodes.owners)[np.searchsorted(nodes.images, best)]
    kept = best[: max(1, int(np.searchsorted(np.cumsum(counts), LARGEST, side="right")))]
    return nodes.some(np.isin(nodes.images, kept)[nodes.owners])
