"""An index becomes another whose pictures have their neighbours added: database-side augmentation.

Turcot, Lowe: "Better matching with fewer features" (ICCV workshops 2009); weights as in Gordo, Almazan, Revaud, Larlus
(IJCV 2017). Queries are described as before: only what is searched has moved.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import StoreError, UsageError
from dff_onnx.progress import Progress, Silent
from dff_onnx.retrieval import augmented, rank
from dff_onnx.runs.object_votes import VOTES
from dff_onnx.runs.opened_index import ALPHA, FOLDER, WHITENING, WITH, is_augmented, settings_of
from dff_onnx.store import Entry, Identity, VectorStore, check_not_empty, open_store, stored_identity, write_store

MADE_OF = "augmented of"  # the name of an attachment: the state of the index that this one was made of
BATCH = 100  # pictures of a transaction
MOST = 1000  # neighbours

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much of its neighbours a picture takes on.

    Attributes:
        neighbours: of each picture, 1 to 1000.
        alpha: a neighbour's weight is its similarity to this power; 0 makes all alike.
    """

    neighbours: int = 10
    alpha: float = 3.0

    def __post_init__(self) -> None:
        if not 1 <= self.neighbours <= MOST or not 0 <= self.alpha <= 100:
            raise UsageError(
                f"augmentation: 1 to {MOST} neighbours and an alpha of 0 to 100 are needed, found {self.neighbours} "
                f"and {self.alpha:g}"
            )


def augment_index(
    source: str | Path,
    target: str | Path,
    augmentation: Augmentation | None = None,
    progress: Progress | None = None,
) -> int:
    """Writes an index whose pictures have their neighbours added; regions stay as they are.

    A call that was ended is taken up by the next: the same call puts what is missing. The vectors of all pictures are
    held in memory meanwhile.

    Args:
        source: a file, or `postgresql://...`.
        target: the same; another one, with nothing in it.
        augmentation: how much.
        progress: follows the pictures.

    Returns:
        how many pictures it holds.

    Raises:
        UsageError: when there is no source.
        StoreError: when the source is no index, is empty, or was augmented itself; when the target holds something
            else.
        OutputError, NetworkError: as `dff_onnx.store.write_store`.
    """
    augmentation, progress = augmentation or Augmentation(), progress or Silent()
    with open_store(source) as store:
        settings_of(store.identity, store.where)  # refuses what `index` did not make
        if is_augmented(store.identity):
            raise StoreError(f"{store.where}: was augmented itself; augment the index that it was made of")
        check_not_empty(store)
        identity = _identity(store.identity, augmentation)
        _check_target(target, store)
        with write_store(target, identity) as made:
            _keep(store, made)
            _put(store, made, augmentation, progress)
            return made.counts().images


def _identity(source: Identity, augmentation: Augmentation) -> Identity:
    said = {WITH: augmentation.neighbours, ALPHA: float(augmentation.alpha)}
    return replace(source, settings={**source.settings, **said})


def _check_target(target: str | Path, source: VectorStore) -> None:
    """Refuses an index that something else was put into."""
    if stored_identity(target) is None:
        return
    with open_store(target) as there:
        of = there.attachment(MADE_OF)
        if of != source.state().encode() and (of is not None or there.counts().images):
            raise StoreError(
                f"{there.where}: holds other vectors than {source.where} augmented; give a new file, or remove it"
            )


def _keep(source: VectorStore, made: VectorStore) -> None:
    """What the source kept beside its vectors, and which source it was."""
    kept = {name: source.attachment(name) for name in (WHITENING, FOLDER, VOTES)} | {MADE_OF: source.state().encode()}
    for name, data in kept.items():
        if data is not None and made.attachment(name) != data:
            made.attach(name, data)


def _put(source: VectorStore, made: VectorStore, augmentation: Augmentation, progress: Progress) -> None:
    known = made.stamps()
    progress.start("comparing")
    blocks = list(source.blocks("images"))
    ids = np.concatenate([block.ids for block in blocks])
    vectors = np.concatenate([np.asarray(block.vectors, np.float32) for block in blocks])
    with single_threaded_blas():
        moved = moved_to_neighbours(vectors, augmentation)
    progress.start("augmenting", len(ids))
    entries = _entries(source, ids, moved)
    while batch := list(itertools.islice(entries, BATCH)):
        if new := [entry for entry in batch if entry.path not in known]:
            made.put(new)
        progress.advance(len(batch))


def moved_to_neighbours(vectors: Floats, augmentation: Augmentation) -> Floats:
    """Vectors `(n, d)` of unit length with their nearest added, themselves left out.

    >>> moved_to_neighbours(np.eye(2, dtype=np.float32)[[0, 0, 1]], Augmentation(1)).tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    # One more than asked for: itself. Where that is crowded out, those that do so are equal to it, and change nothing.
    ranking = rank(vectors, vectors, min(augmentation.neighbours + 1, len(vectors)))
    made = augmented(vectors, np.asarray(ranking.indices), np.asarray(ranking.scores), augmentation.alpha)
    return np.asarray(made, np.float32)


def _entries(source: VectorStore, ids: NDArray[np.int64], moved: Floats) -> Iterator[Entry]:
    for start in range(0, len(ids), BATCH):
        records = source.images(ids[start : start + BATCH].tolist())
        for record, vector in zip(records, moved[start : start + BATCH], strict=True):
            regions = source.regions_of(record.id)
            parts = source.vectors("regions", [one.id for one in regions]) if regions else None
            boxes, scores = [one.box for one in regions], [one.score for one in regions]
            yield Entry(record.path, record.stamp, vector, parts, boxes, scores, record.label)
