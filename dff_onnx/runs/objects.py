"""Objects that come back in a collection, found without a query and without labels.

Simeoni et al. (2017, arXiv:1709.04725): regions that are central in the graph of all regions show what a collection has
in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.sparse import Sparse
from dff_onnx.errors import UsageError
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.objects_found import FoundObject, ObjectRegion, ObjectsFound
from dff_onnx.retrieval import normalized
from dff_onnx.retrieval.graphs import graph_of_affinity, katz_centrality, mutual_affinity, nearest_neighbours
from dff_onnx.retrieval.saliency import RegionVotes
from dff_onnx.runs.claim import claimed, identity_of
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.graph_parts import usual_neighbours
from dff_onnx.runs.index import Indexed, IndexPlan, check_index, index_folder
from dff_onnx.runs.object_groups import greedy_groups
from dff_onnx.runs.object_votes import ObjectVotes, votes_sha256
from dff_onnx.runs.opened_index import stored_whitening
from dff_onnx.runs.write_objects import write_objects
from dff_onnx.runs.write_search import needed_folder_of
from dff_onnx.store import RegionRecord, VectorStore, check_not_empty, stored_identity

MOST = 1000  # objects
NEIGHBOURS = 20  # of a region in the graph, itself counted; fewer in a small collection
# Cosine below which neighbours show different things: in a small collection some neighbour is always the nearest.
ALIKE = 0.3
POWER = 3  # of the cosines, in the graph


@dataclass(frozen=True, slots=True)
class Objects:
    """What became of a collection.

    Attributes:
        found: the objects.
        indexed: of the index of `os-egm` descriptors, None where none was asked for.
    """

    found: ObjectsFound
    indexed: Indexed | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Collection:
    """The regions of an index, how near they are to each other, and their votes."""

    affinity: Sparse
    records: Sequence[RegionRecord]
    labels: Sequence[str | None]
    votes: ObjectVotes


def collection_votes(store: VectorStore) -> ObjectVotes:
    """What the regions of an index of `fs-egm` descriptors have to say of other pictures.

    Raises:
        UsageError: for an index of other descriptors.
        StoreError: when it has no regions, or is damaged.
    """
    return _collection(store).votes


def objects(
    store: VectorStore,
    describer: Describer,
    out: Path,
    top: int = 20,
    *,
    folder: Path | None = None,
    index: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Objects:
    """Finds the objects of an index, and writes pictures of them, `objects.json` and `objects.html`.

    Args:
        store, describer: an index of `fs-egm` descriptors, as `open_index` gives it.
        out: the folder.
        top: objects at most.
        folder: of the index's pictures; by default where the index says that they are.
        index: where the pictures are indexed anew, as `os-egm` descriptors: a file, or `postgresql://...`.
        overwrite: whether objects of other settings in `out` may be replaced.
        progress: follows the stages.

    Raises:
        UsageError: for an index of other descriptors; when `out` holds something else; when nobody says where the
            pictures are; for more regions than `index` can keep.
        StoreError: when the index has no regions or is damaged, or `index` is one of other vectors.
        OutputError: when something cannot be written.
    """
    if not 1 <= top <= MOST:
        raise UsageError(f"--top: 1 to {MOST} objects can be shown, found {top}")
    progress = progress or Silent()
    _check_kind(store)
    root = needed_folder_of(store, folder)
    kept = {"index": store.where, "state": store.state(), "top": top}
    with claimed(out, root, identity_of(root, kept, store.identity.fingerprint), overwrite) as work:
        progress.start("finding objects")
        with single_threaded_blas():
            collection = _collection(store)
            found = _found(store, collection, top)
        # Another index, and more votes than one can keep, are refused while earlier results are still there.
        plan = None if index is None else _plan(store, describer.settings, index, collection.votes)
        if index is not None and plan is not None:
            check_index(index, describer.activations, plan)
        work.settle()
        found = write_objects(found, root, out, describer, collection.votes, progress)
    if index is None or plan is None:
        return Objects(found)
    return Objects(found, index_folder(root, index, describer.activations, plan, progress=progress))


def _plan(store: VectorStore, usual: DescriptorSettings, where: str | Path, votes: ObjectVotes) -> IndexPlan:
    """Of an index of `os-egm` descriptors, made of one of `fs-egm`."""
    settings = DescriptorSettings("os-egm", usual.size, scales=usual.scales, votes=votes_sha256(votes))
    return IndexPlan(
        stored_identity(where), settings, stored_whitening(store), store.identity.dtype, store.where, votes
    )


def _check_kind(store: VectorStore) -> None:
    if store.identity.descriptor != "fs-egm":
        raise UsageError(
            f"{store.where}: has descriptors of the kind {store.identity.descriptor!r}, and objects are found among "
            "the regions of fs-egm; make an index with `dff-onnx index --descriptor fs-egm`"
        )


def _collection(store: VectorStore) -> _Collection:
    _check_kind(store)
    check_not_empty(store, "regions")
    ids, vectors = list[int](), list[NDArray[np.float32]]()
    for block in store.blocks("regions"):
        ids += block.ids.tolist()
        vectors.append(np.asarray(block.vectors, np.float32))
    records = store.regions(ids)
    numbers, owners = np.unique([record.image for record in records], return_inverse=True)
    images = store.images(numbers.tolist())
    rows = np.asarray(normalized(np.concatenate(vectors)), np.float32)
    scores = np.clip([record.score for record in records], 0, None)
    neighbours = usual_neighbours(NEIGHBOURS, len(records))
    found = nearest_neighbours(rows, neighbours)
    affinity = mutual_affinity(found.indices, found.scores, POWER)
    central = np.clip(katz_centrality(graph_of_affinity(affinity)), 0, None)
    regions = RegionVotes(rows, owners.astype(np.int64), scores, central)
    votes = ObjectVotes(regions, tuple(image.path for image in images), store.state(), neighbours)
    return _Collection(affinity, records, [image.label for image in images], votes)


def _found(store: VectorStore, collection: _Collection, top: int) -> ObjectsFound:
    votes, records = collection.votes, collection.records
    regions = votes.regions
    alike = collection.affinity.multiply(collection.affinity >= ALIKE**POWER).tocsr()
    alike.eliminate_zeros()
    groups = greedy_groups(alike, regions.centralities, regions.owners, [one.box for one in records], top)

    def told(region: int, seed: int) -> ObjectRegion:
        owner = int(regions.owners[region])
        similarity = 1.0 if region == seed else float(collection.affinity[seed, region]) ** (1 / POWER)
        record = records[region]
        return ObjectRegion(
            votes.paths[owner], record.box, float(regions.scores[region]), float(regions.centralities[region]),
            similarity, record.id, collection.labels[owner],
        )  # fmt: skip

    counts = store.counts()
    return ObjectsFound(
        tuple(
            FoundObject(number, tuple(told(region, group[0]) for region in group))
            for number, group in enumerate(groups, 1)
        ),
        counts.images,
        counts.regions,
        {"top": top, "neighbours": votes.neighbours},
    )
