"""Made-up entries of an index, and what an index holds, written down so that it can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from dff_onnx.records import Box, Fingerprint, Preprocessing
from dff_onnx.store import Entry, Identity, Stamp, VectorStore
from dff_onnx.store.identity import VectorDtype

DIMENSIONS = 6


def identity_of(
    descriptor: str = "dff", dimensions: int = DIMENSIONS, dtype: VectorDtype = "float16", layer: str = "relu5_4"
) -> Identity:
    return Identity(Fingerprint("ab" * 32, layer, Preprocessing()), descriptor, dimensions, {"k": 4}, dtype)


def entry(path: str, seed: int = 0, regions: int = 0, label: str | None = None, dimensions: int = DIMENSIONS) -> Entry:
    """Whole numbers, so that every product of vectors is exact."""
    rng = np.random.default_rng([seed, *path.encode("utf-8", "surrogateescape")])
    rows = rng.integers(-8, 9, (1 + regions, dimensions)).astype(np.float32)
    boxes = [Box(i, 2 * i, i + 3 + seed, 2 * i + 5) for i in range(regions)]
    scores = [(i + 1) / (regions + 1) for i in range(regions)]
    stamp = Stamp.of_content(f"{path!r} {seed}".encode())
    return Entry(path, stamp, rows[0], rows[1:] if regions else None, boxes, scores, label)


def written_down(entries: list[Entry]) -> dict[str, Any]:
    """What an index of these must hold, without ids."""
    return {
        e.path: (
            e.stamp,
            e.label,
            e.vector.tolist(),
            [
                (box, score, row.tolist())
                for box, score, row in zip(e.boxes, e.scores, () if e.regions is None else e.regions, strict=True)
            ],
        )
        for e in entries
    }


def held(store: VectorStore) -> dict[str, Any]:
    """What an index holds, without ids, read block by block; every figure that it says twice is compared."""
    found: dict[str, Any] = {}
    by_id: dict[int, str] = {}
    last = 0
    for block in store.blocks("images"):
        assert block.ids[0] > last and (np.diff(block.ids) > 0).all() and (block.ids == block.images).all()
        last = int(block.ids[-1])
        for record, vector in zip(store.images(block.ids.tolist()), block.vectors, strict=True):
            found[record.path] = (record.stamp, record.label, vector.tolist(), [])
            by_id[record.id] = record.path
    for block in store.blocks("regions"):
        for region, image, vector in zip(store.regions(block.ids.tolist()), block.images, block.vectors, strict=True):
            assert region.image == image
            found[by_id[region.image]][3].append((region.box, region.score, vector.tolist()))
    counts = store.counts()
    assert (counts.images, counts.regions) == (len(found), sum(len(value[3]) for value in found.values()))
    assert store.stamps() == {path: value[0] for path, value in found.items()}
    return found


def ids_by_path(store: VectorStore) -> dict[str, int]:
    return {path: record.id for path in store.stamps() if (record := store.find(path)) is not None}
