"""The votes of a collection's regions, as an index of `os-egm` descriptors keeps them beside its vectors."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dff_onnx.errors import RefusedError, StoreError, UsageError
from dff_onnx.npz_file import NpzForm, npz_bytes, read_npz, refusing_content, texts_of
from dff_onnx.retrieval.saliency import RegionVotes
from dff_onnx.store import VectorStore

VOTES = "votes"  # name of the attachment
MOST_OWNERS = 2**24  # whole numbers that float32 holds
FORM = NpzForm(
    what="votes of regions",
    maker="dff-onnx objects",
    format="dff-onnx/votes/1",
    sides={"vectors": 2, "owners": 1, "scores": 1, "centralities": 1},
    largest=2**29,  # 260 000 regions of 512 dimensions
    error=StoreError,
)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectVotes:
    """Regions of a collection, what their votes are worth, and whose they are.

    Attributes:
        regions: with owners 0 to the number of paths, less one.
        paths: of the pictures, relative to the collection's folder, as `os.fsdecode` gives them.
        state: of the index that they were made of, see `VectorStore.state`.
        neighbours: of each region, itself counted, in the graph that its centrality comes from.

    Raises:
        RefusedError: when these do not belong together.
    """

    regions: RegionVotes
    paths: tuple[str, ...]
    state: str
    neighbours: int
    _numbers: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        owners = np.asarray(self.regions.owners)
        if owners.size and not (owners.min() >= 0 and owners.max() < min(len(self.paths), MOST_OWNERS)):
            raise RefusedError(f"a region belongs to none of the {len(self.paths)} pictures")
        if len(set(self.paths)) != len(self.paths) or type(self.neighbours) is not int or self.neighbours < 1:
            raise RefusedError("what it says of its pictures or of its graph is damaged")
        object.__setattr__(self, "_numbers", {path: number for number, path in enumerate(self.paths)})

    def number_of(self, path: str) -> int | None:
        """A picture's number among the owners, None for one that has no regions here."""
        return self._numbers.get(path)


def votes_bytes(votes: ObjectVotes) -> bytes:
    """As they are kept; equal votes have equal bytes.

    Raises:
        UsageError: for more than can be kept.
    """
    regions = votes.regions
    if np.asarray(regions.vectors).size * 4 > FORM.largest - 2**20:
        raise UsageError(f"{len(regions.vectors)} regions are more than an index of os-egm descriptors can keep")
    arrays = {name: getattr(regions, name) for name in FORM.sides}
    paths = [os.fsencode(path).decode("latin-1") for path in votes.paths]  # any bytes
    return npz_bytes(FORM, arrays, {"paths": paths, "state": votes.state, "neighbours": votes.neighbours})


def votes_sha256(votes: ObjectVotes) -> str:
    """Of `votes_bytes`."""
    return hashlib.sha256(votes_bytes(votes)).hexdigest()


def votes_of(data: bytes, name: str) -> ObjectVotes:
    """The inverse of `votes_bytes`.

    Args:
        data: as they were kept.
        name: of what kept them, for messages.

    Raises:
        StoreError: when they are damaged.
    """
    with refusing_content(name, FORM):
        arrays, about = read_npz(io.BytesIO(data), FORM)
        owners = arrays["owners"].astype(np.int64)
        if not np.array_equal(owners, arrays["owners"]):
            raise RefusedError("its owners are no whole numbers")
        regions = RegionVotes(arrays["vectors"], owners, arrays["scores"], arrays["centralities"])
        paths = tuple(os.fsdecode(text.encode("latin-1")) for text in texts_of(about["paths"], "paths"))
        state = texts_of([about["state"]], "states")[0]
        return ObjectVotes(regions, paths, state, about["neighbours"])


def stored_votes(store: VectorStore, wanted: str) -> ObjectVotes | None:
    """The votes that an index keeps, None where its descriptors need none.

    Args:
        store: the index.
        wanted: sha256 that its settings name; empty for other descriptors than `os-egm`.

    Raises:
        StoreError: when they are missing, or are not those that its vectors were made with.
    """
    if not wanted:
        return None
    data = store.attachment(VOTES)
    if data is None or hashlib.sha256(data).hexdigest() != wanted:
        found = "does not keep the votes" if data is None else "keeps other votes than those"
        raise StoreError(
            f"{store.where}: {found} of its vectors (sha256 {wanted[:12]}...); make it anew with `dff-onnx objects`"
        )
    return votes_of(data, f"{store.where}: its votes")
