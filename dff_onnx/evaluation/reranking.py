"""Ways to rank a set's pictures for its queries: by similarity alone, by expanded queries, along the set's graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.helpers import row_blocks
from dff_onnx.errors import UsageError
from dff_onnx.retrieval import alpha_expansion, average_expansion, rank
from dff_onnx.runs.graph_parts import Nodes, parts_of_nodes
from dff_onnx.runs.graph_ranking import GraphRanking, matched, query_parts
from dff_onnx.runs.rerank import COUNTED
from dff_onnx.store.protocol import Kind

Way = Literal["none", "aqe", "alpha-qe", "diffusion", "fsr", "offline", "rmatch", "regional", "regional-fsr"]
UNCOUNTED: tuple[Way, ...] = ("none", "rmatch")  # they look at all there is
WITHOUT_GRAPH: tuple[Way, ...] = (*UNCOUNTED, "aqe", "alpha-qe")
BY_REGIONS: tuple[Way, ...] = ("rmatch", "regional", "regional-fsr")
TITLES: dict[Way, str] = {
    "none": "by similarity",
    "aqe": "average query expansion",
    "alpha-qe": "query expansion, weights s^3",
    "diffusion": "diffusion on images",
    "fsr": "spectral ranking of images",
    "offline": "diffusion on images, solved offline",
    "rmatch": "regions matched one by one",
    "regional": "diffusion on regions",
    "regional-fsr": "spectral ranking of regions",
}
QUERIES = 64  # asked at a time: all pictures are ranked for each

Floats = NDArray[np.float32]
Order = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reranking:
    """One way to rank.

    Attributes:
        way: what is done.
        rank: eigenvalues of a spectral ranking.
        neighbours: that the graph looks at, a node itself among them, at least 2; where 0, 50 of images and 200 of
            regions, fewer in small sets.
        entries: nodes where a query enters the graph; 10 of images, 200 of regions where 0. Of expansions, pictures
            that are added: 10, and 50 with weights.
    """

    way: Way = "none"
    rank: int = 100
    neighbours: int = 0
    entries: int = 0

    def __post_init__(self) -> None:
        if self.way not in get_args(Way):
            raise UsageError(f"--rerank: {self.way!r} is not one of {', '.join(get_args(Way))}")
        if self.rank < 1 or self.neighbours < 0 or self.entries < 0:
            raise UsageError(f"--rerank {self.name}: counts from 1 are needed")
        if self.neighbours == 1:
            raise UsageError("--neighbours: a node has itself among them, so that at least 2 are needed; found 1")

    @property
    def name(self) -> str:
        """As it stands behind a descriptor's: nothing for similarity alone."""
        return f"{self.way}:{self.rank}" if self.way.endswith("fsr") else self.way

    @property
    def title(self) -> str:
        """In words."""
        return TITLES[self.way] + (f", r = {self.rank}" if self.way.endswith("fsr") else "")

    @property
    def by_regions(self) -> bool:
        """Whether it looks at parts of pictures."""
        return self.way in BY_REGIONS

    def enters(self) -> int:
        """Nodes where a query enters, or pictures that are added to it."""
        if self.way in ("aqe", "alpha-qe"):
            return self.entries or COUNTED[self.way]
        return self.entries or COUNTED["regional" if self.by_regions else "diffusion"]

    @classmethod
    def parsed(cls, word: str, neighbours: int = 0, entries: int = 0) -> Reranking:
        """`diffusion`, or `fsr:200` with a rank.

        Raises:
            UsageError: for a way or a rank that is none.

        >>> Reranking.parsed("fsr:200").rank
        200
        """
        way, colon, text = word.partition(":")
        if colon and not (way.endswith("fsr") and text.isdecimal()):
            raise UsageError(
                f"--rerank: {word!r} is not a way to rank; only fsr and regional-fsr take a rank, as fsr:200"
            )
        for known in get_args(Way):
            if way == known:
                return cls(known, int(text) if colon else 100, neighbours, entries)
        raise UsageError(f"--rerank: {way!r} is not one of {', '.join(get_args(Way))}")


def check_counts_used(ways: Sequence[Reranking]) -> None:
    """Refuses counts that no way of several looks at.

    Raises:
        UsageError: naming the option.
    """
    if any(how.neighbours for how in ways) and all(how.way in WITHOUT_GRAPH for how in ways):
        raise UsageError("--neighbours: no way of --rerank makes a graph; leave it out")
    if any(how.entries for how in ways) and all(how.way in UNCOUNTED for how in ways):
        raise UsageError("--query-neighbours: no way of --rerank counts neighbours of a query; leave it out")


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What is ranked, or asked for.

    Attributes:
        whole: `(n, d)` of pictures.
        parts: of each picture `(p, d)`; empty where no way looks at parts.
    """

    whole: Floats
    parts: Sequence[Floats] = ()


def rankings(how: Reranking, queries: Vectors, images: Vectors) -> Iterator[Order]:
    """All pictures for each query, the best first; of equal ones, that of the lower index."""
    if how.way in ("none", "aqe", "alpha-qe"):
        asked = queries.whole if how.way == "none" else _expanded(how, queries.whole, images.whole)
        for block in row_blocks(len(asked), QUERIES):
            yield from rank(asked[block], images.whole, len(images.whole)).indices
        return
    score = _matched(images) if how.way == "rmatch" else _on_graph(how, images)
    for at, similar in enumerate(rankings(Reranking(), queries, images)):
        whole = queries.whole[at]
        scores = score(query_parts(whole, queries.parts[at]) if how.by_regions else whole[None])
        # Of equal scores, as those of what the graph does not reach, the more similar comes first.
        yield similar[np.argsort(-scores[similar], kind="stable")]


Score = Callable[[Floats], NDArray[np.float64]]


def _expanded(how: Reranking, queries: Floats, images: Floats) -> Floats:
    found = rank(queries, images, how.enters())
    if how.way == "aqe":
        return np.asarray(average_expansion(queries, images, found.indices), np.float32)
    return np.asarray(alpha_expansion(queries, images, found.indices, found.scores), np.float32)


def _matched(images: Vectors) -> Score:
    nodes = Nodes.of_regions(images.parts)
    return lambda query: matched(nodes, query)


def _on_graph(how: Reranking, images: Vectors) -> Score:
    if how.by_regions and not any(map(len, images.parts)):
        return lambda _query: np.zeros(len(images.parts))  # there is nothing to make a graph of
    kind: Kind = "regions" if how.by_regions else "images"
    nodes = Nodes.of_regions(images.parts) if how.by_regions else Nodes.of_images(images.whole)
    spectral = how.way.endswith("fsr")
    made = parts_of_nodes(nodes, kind, how.neighbours or None, how.rank if spectral else 0, how.way == "offline")
    ranking = GraphRanking.of(nodes, made, "fsr" if spectral else "offline" if how.way == "offline" else "diffusion")
    return lambda query: ranking.scores(ranking.entered(query, how.enters()))[0]
