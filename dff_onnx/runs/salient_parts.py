"""The salient regions of a picture's activations: by themselves (FS), or with the votes of a collection (OS)."""

from __future__ import annotations

from dff_onnx.arrays import Array, namespace_of
from dff_onnx.retrieval import Whitening
from dff_onnx.retrieval.saliency import (
    SalientRegions,
    cell_vectors,
    feature_saliency,
    object_saliency,
    salient_regions,
)
from dff_onnx.runs.object_votes import ObjectVotes


def saliency_map(
    X: Array, votes: ObjectVotes | None = None, whitening: Whitening | None = None, own: int | None = None
) -> Array:
    """Where a picture is salient, `(h, w)`: feature saliency, and with votes object saliency.

    Args:
        X: `(1, c, h, w)` activations, `>= 0`.
        votes: of a collection; None for feature saliency.
        whitening: of the collection's regions.
        own: the picture's number among the owners of the votes, None where it is not there.

    Raises:
        ArrayError: for activations that do not belong to the votes.
    """
    F = feature_saliency(X)[0, ...]
    xp = namespace_of(F)
    if votes is None or not bool(xp.any(F > 0)):
        return F
    return object_saliency(F, cell_vectors(X, whitening)[0, ...], votes.regions, own)


def found_regions(
    X: Array, votes: ObjectVotes | None = None, whitening: Whitening | None = None, own: int | None = None
) -> SalientRegions:
    """The regions of `saliency_map`; where nobody votes for anything, those of feature saliency."""
    found = salient_regions(saliency_map(X, votes, whitening, own))
    return found if found.windows or votes is None else salient_regions(feature_saliency(X)[0, ...])
