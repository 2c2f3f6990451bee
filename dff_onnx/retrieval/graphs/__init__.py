"""Ranking on the graph of a database: diffusion, its spectrum, and what is central in it. Pure."""

from dff_onnx.retrieval.graphs.affinity import Graph, graph_of, graph_of_affinity, mutual_affinity, mutual_graph
from dff_onnx.retrieval.graphs.diffusion import Diffused, diffuse, katz_centrality
from dff_onnx.retrieval.graphs.neighbours import nearest_neighbours
from dff_onnx.retrieval.graphs.offline import offline_diffusion
from dff_onnx.retrieval.graphs.plain_parts import graph_of_parts, graph_parts
from dff_onnx.retrieval.graphs.pooled import pooled_scores, pooling_weights, region_matches
from dff_onnx.retrieval.graphs.query_vector import query_vector
from dff_onnx.retrieval.graphs.spectral import PooledSpectrum, Spectrum, spectral_scores, spectrum_of

__all__ = [
    "Diffused",
    "Graph",
    "PooledSpectrum",
    "Spectrum",
    "diffuse",
    "graph_of",
    "graph_of_affinity",
    "graph_of_parts",
    "graph_parts",
    "katz_centrality",
    "mutual_affinity",
    "mutual_graph",
    "nearest_neighbours",
    "offline_diffusion",
    "pooled_scores",
    "pooling_weights",
    "query_vector",
    "region_matches",
    "spectral_scores",
    "spectrum_of",
]
