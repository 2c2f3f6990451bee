"""Images by their best regions: one pass over all regions keeps a figure for each image and part.

A matrix product finds the images that can be among the best, with room for its rounding; only the regions of these are
compared exactly, so that the answer depends on the vectors alone, not on the blocks they lie in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.records import Box
from dff_onnx.retrieval import best_regions, combined
from dff_onnx.retrieval.products import Rows, exact_products, slack
from dff_onnx.store import VectorStore

ROWS = 8192  # compared at a time
IMAGES = 1024  # compared exactly at a time

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BestImage:
    """An image: its id, its score, and the box of what is most like the first part."""

    image: int
    score: float
    box: Box


def best_images(store: VectorStore, wanted: Floats, unwanted: Floats, top: int) -> list[BestImage]:
    """The images that have all wanted parts and none of the unwanted ones, best first; of equals, the lower id.

    Args:
        store: the index, with regions.
        wanted, unwanted: `(p, d)` and `(u, d)` parts; at least one is wanted.
        top: how many.
    """
    parts = np.concatenate([wanted, unwanted])
    ids, best, error = _rough(store, parts)
    scores = combined(best[: len(wanted)], best[len(wanted) :])
    if len(ids) > top:
        # The least of some figures is as far off as they are; less the most of others, twice that.
        least = np.partition(scores, -top)[-top] - 4 * error
        ids = ids[scores >= least]
    return compared(store, wanted, unwanted, ids.tolist())[:top]


def compared(store: VectorStore, wanted: Floats, unwanted: Floats, images: Sequence[int]) -> list[BestImage]:
    """The same of some images that have regions, by their ids; all of them, the best first."""
    parts = np.concatenate([wanted, unwanted])
    some = (images[i : i + IMAGES] for i in range(0, len(images), IMAGES))
    exact = [one for ids in some for one in _exact(store, parts, len(wanted), ids)]
    return sorted(exact, key=lambda one: (-one.score, one.image))


def _rough(store: VectorStore, parts: Floats) -> tuple[NDArray[np.int64], Floats, float]:
    """All images with regions by rising ids, how far each has each part `(parts, images)`, and the largest error."""
    queries = Rows.of(parts, "the query")
    images, found, error = list[NDArray[np.int64]](), list[Floats](), 0.0
    for owners, vectors in _pieces(store):
        rows = Rows.of(vectors, f"{store.where}: regions")
        error = max(error, float(np.max(slack(queries, rows))))
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        images.append(owners[starts])
        found.append(np.asarray(best_regions(queries.values @ rows.values.T, [*starts.tolist(), len(owners)])))
    # An image's regions may lie in several pieces.
    every, places = np.unique(np.concatenate(images), return_inverse=True)
    best = np.full((len(parts), len(every)), -np.inf, np.float32)
    for row, of in zip(best, np.concatenate(found, axis=1), strict=True):
        np.maximum.at(row, places, of)
    return every, best, error


def _pieces(store: VectorStore) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Images and vectors of regions, some at a time."""
    for block in store.blocks("regions"):
        for start in range(0, len(block.ids), ROWS):
            yield block.images[start : start + ROWS], block.vectors[start : start + ROWS]


def _exact(store: VectorStore, parts: Floats, wanted: int, images: Sequence[int]) -> list[BestImage]:
    """Scores and boxes of some images."""
    regions = [store.regions_of(image) for image in images]
    flat = [region for of in regions for region in of]
    bounds = np.cumsum([0, *map(len, regions)]).tolist()
    vectors = Rows.of(store.vectors("regions", [region.id for region in flat]), f"{store.where}: regions").values
    rows, columns = np.indices((len(parts), len(flat)))
    products = np.asarray(exact_products(parts, vectors, rows.ravel(), columns.ravel())).reshape(rows.shape)
    best = best_regions(products, bounds)
    scores = combined(best[:wanted], best[wanted:])
    where = [low + int(np.argmax(products[0, low:high])) for low, high in pairwise(bounds)]
    return [
        BestImage(image, float(score), flat[place].box)
        for image, score, place in zip(images, scores, where, strict=True)
    ]
