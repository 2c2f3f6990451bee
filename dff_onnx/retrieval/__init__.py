"""Descriptors of pictures and of their parts, exact ranking, and where in a picture the query is. Pure."""

from dff_onnx.retrieval.concept_descriptors import (
    ConceptDescriptors,
    added_up,
    concept_descriptors,
    concept_vectors,
    concept_weights,
    energy_shares,
)
from dff_onnx.retrieval.expansion import alpha_expansion, augmented, average_expansion
from dff_onnx.retrieval.pooling import codes, crow, gem, mac, normalized, spoc, ucrow
from dff_onnx.retrieval.ranking import Ranking, merge, rank
from dff_onnx.retrieval.region_query import best_regions, combined
from dff_onnx.retrieval.rmac import Window, region_vectors, regions, rmac
from dff_onnx.retrieval.scales import SCALES, over_scales, target_sizes
from dff_onnx.retrieval.where import QueryConcept, cells_inside, query_concept
from dff_onnx.retrieval.whitening import Whitening, learn_whitening

__all__ = [
    "SCALES",
    "ConceptDescriptors",
    "QueryConcept",
    "Ranking",
    "Whitening",
    "Window",
    "added_up",
    "alpha_expansion",
    "augmented",
    "average_expansion",
    "best_regions",
    "cells_inside",
    "codes",
    "combined",
    "concept_descriptors",
    "concept_vectors",
    "concept_weights",
    "crow",
    "energy_shares",
    "gem",
    "learn_whitening",
    "mac",
    "merge",
    "normalized",
    "over_scales",
    "query_concept",
    "rank",
    "region_vectors",
    "regions",
    "rmac",
    "spoc",
    "target_sizes",
    "ucrow",
]
