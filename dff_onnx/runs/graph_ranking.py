"""Images ranked on a graph of them, or of their regions, from where a query enters it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dff_onnx.retrieval import rank
from dff_onnx.retrieval.graphs import (
    PooledSpectrum,
    diffuse,
    pooled_scores,
    query_vector,
    region_matches,
    spectral_scores,
)
from dff_onnx.retrieval.graphs.diffusion import ALPHA
from dff_onnx.runs.graph_parts import GraphParts, Nodes

GraphWay = Literal["diffusion", "fsr", "offline"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def query_parts(vector: Floats, parts: Floats) -> Floats:
    """What a query asks with where regions are asked for: its parts, or itself where nothing of it stands out.

    Args:
        vector: `(d,)`.
        parts: `(p, d)`; those of zeros say nothing.

    >>> query_parts(np.ones(2, np.float32), np.zeros((3, 2), np.float32)).tolist()
    [[1.0, 1.0]]
    """
    there = parts[parts.any(axis=1)]
    return there if len(there) else vector[None]


def matched(nodes: Nodes, parts: Floats) -> Doubles:
    """Images' scores `(m,)` by their regions, one by one, for the parts `(p, d)` of a query; see `region_matches`.

    Rounded to single precision, so that no library's order of summation decides between equals.
    """
    scores = region_matches(parts, nodes.vectors, nodes.owners, len(nodes.images))
    return np.asarray(scores, np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class GraphRanking:
    """A graph that queries are put on, one after the other.

    Attributes:
        nodes: of the graph.
        parts: the graph, and what `way` needs of it.
        way: by conjugate gradients, the spectrum, or solutions made beforehand.
        pooled: the spectrum of regions, added up for each image.
    """

    nodes: Nodes
    parts: GraphParts
    way: GraphWay = "diffusion"
    pooled: PooledSpectrum | None = None

    @classmethod
    def of(cls, nodes: Nodes, parts: GraphParts, way: GraphWay = "diffusion") -> GraphRanking:
        """Prepares it; regions' spectrum is pooled once for all queries."""
        if way != "fsr" or parts.spectrum is None or parts.kind == "images":
            return cls(nodes, parts, way)
        return cls(nodes, parts, way, PooledSpectrum.of(parts.spectrum, parts.weights, nodes.owners, len(nodes.images)))

    def entered(self, queries: Floats, entries: int) -> Doubles:
        """The right side `(n,)` of a query: `(p, d)` its regions, or itself; entries are the nodes that it keeps."""
        near = rank(queries, self.nodes.vectors, max(entries, self.parts.k))
        return np.asarray(query_vector(near, len(self.nodes.ids), entries), np.float64)

    def scores(self, y: Doubles) -> tuple[Doubles, Mapping[str, Any]]:
        """Of images `(m,)`, times `1 - alpha`, and what is to be told of how they were found."""
        spectrum, solutions = self.parts.spectrum, self.parts.solutions
        if self.way == "fsr" and spectrum is not None:
            found = spectral_scores(spectrum, y) if self.pooled is None else self.pooled.scores(y)
            return np.asarray(found), {"rank": spectrum.rank}
        if self.way == "offline" and solutions is not None:
            return self._pooled((1 - ALPHA) * np.asarray(solutions.T @ y)), {}
        solved = diffuse(self.parts.graph, y)
        told = {"steps": solved.steps, "residual": solved.residual, "converged": solved.converged}
        return self._pooled((1 - ALPHA) * np.asarray(solved.x)), told

    def _pooled(self, x: Doubles) -> Doubles:
        return np.asarray(pooled_scores(x, self.parts.weights, self.nodes.owners, len(self.nodes.images)))
