"""What goes into an index, and whether it may."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.files import printable
from dff_onnx.records import Box
from dff_onnx.store.identity import Identity

LARGEST_SIDE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file changed.

    Attributes:
        size: bytes.
        mark: `sha256:...` of the content, or `mtime:...` in nanoseconds.

    >>> Stamp.of_content(b"").mark[:20]
    'sha256:e3b0c44298fc1'
    """

    size: int
    mark: str

    @classmethod
    def of_content(cls, data: bytes) -> Self:
        """By what is in the file: sure, for one reading."""
        return cls(len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")

    @classmethod
    def of_file(cls, path: str | Path) -> Self:
        """By size and time of change: quick. An OSError is the caller's."""
        found = Path(path).stat()
        return cls(found.st_size, f"mtime:{found.st_mtime_ns}")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """An image as it goes into an index.

    Attributes:
        path: relative to the folder, POSIX slashes, as `os.fsdecode` gives it.
        stamp: of the file.
        vector: `(d,)`, any floats.
        regions: `(r, d)`, None where there are none.
        boxes: of the regions, in pixels of the image.
        scores: of the regions.
        label: its group, None where it has none.
    """

    path: str
    stamp: Stamp
    vector: NDArray[Any]
    regions: NDArray[Any] | None = None
    boxes: Sequence[Box] = ()
    scores: Sequence[float] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Entries that were judged, their vectors stacked in the index's dtype.

    Attributes:
        entries: as given.
        paths: in bytes, no two alike.
        vectors: `(n, d)`.
        regions: `(r, d)`, of all entries, one after the other.
        owners: `(r,)` the entry of each region.
    """

    entries: Sequence[Entry]
    paths: list[bytes]
    vectors: NDArray[Any]
    regions: NDArray[Any]
    owners: NDArray[np.intp]

    def digest(self) -> bytes:
        """Of all of it."""
        said = [
            (e.path, e.stamp.size, e.stamp.mark, e.label, list(e.boxes), list(map(float, e.scores)))
            for e in self.entries
        ]
        whole = hashlib.sha256(ascii(said).encode())
        whole.update(self.vectors.tobytes())
        whole.update(self.regions.tobytes())
        return whole.digest()


def next_state(before: str, change: bytes) -> str:
    """The digest of a history that goes on with a change."""
    return hashlib.sha256(before.encode() + change).hexdigest()


def batch_of(entries: Sequence[Entry], identity: Identity) -> Batch:
    """Judges entries and stacks their vectors.

    Raises:
        UsageError: naming the entry that cannot be.
    """
    paths = [path_bytes(entry.path) for entry in entries]
    if len(set(paths)) < len(paths):
        twice = next(path for number, path in enumerate(paths) if path in paths[:number])
        raise UsageError(f"{printable(Path(os.fsdecode(twice)))}: is in one batch twice")
    for entry in entries:
        _check(entry, identity.dimensions)
    counts = [0 if entry.regions is None else len(entry.regions) for entry in entries]
    owners = np.repeat(np.arange(len(entries)), counts)
    vectors = _stacked([entry.vector[None] for entry in entries], identity)
    regions = _stacked([entry.regions for entry in entries if entry.regions is not None], identity)
    _check_finite(entries, vectors, np.arange(len(entries)), identity)
    _check_finite(entries, regions, owners, identity)
    return Batch(entries, paths, vectors, regions, owners)


def path_bytes(path: str) -> bytes:
    """A path as an index stores it.

    Raises:
        UsageError: for one that is empty, absolute or leads out of the folder.

    >>> path_bytes("a/b.jpg")
    b'a/b.jpg'
    """
    if not is_inside(path):
        raise UsageError(f"the path {ascii(path)[:200]} is not one below a folder of pictures")
    try:
        return os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UsageError(f"the path {ascii(path)[:200]} is none of this system") from error


def is_inside(path: str) -> bool:
    """Whether a path stays inside the folder that it is relative to."""
    return bool(path) and "\0" not in path and path[0] != "/" and ".." not in path.split("/")


def _check(entry: Entry, dimensions: int) -> None:
    regions = entry.regions
    if entry.vector.shape != (dimensions,):
        raise _wrong(entry, f"its vector has the shape {entry.vector.shape}, and ({dimensions},) is needed")
    if regions is not None and regions.shape != (len(regions), dimensions):
        raise _wrong(entry, f"its regions have the shape {regions.shape}, and (regions, {dimensions}) is needed")
    count = 0 if regions is None else len(regions)
    if len(entry.boxes) != count or len(entry.scores) != count:
        raise _wrong(entry, f"has {count} regions, {len(entry.boxes)} boxes and {len(entry.scores)} scores")
    if not all(0 <= b.x0 < b.x1 <= LARGEST_SIDE and 0 <= b.y0 < b.y1 <= LARGEST_SIDE for b in entry.boxes):
        raise _wrong(entry, f"one of its boxes is none: {str(list(entry.boxes))[:120]}")
    if not all(map(math.isfinite, entry.scores)):
        raise _wrong(entry, "one of its scores is not finite")
    if not 0 <= entry.stamp.size < 2**63:
        raise _wrong(entry, f"has a size of {entry.stamp.size} bytes")
    try:
        storable = b"\0" not in (entry.stamp.mark + (entry.label or "")).encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        raise _wrong(entry, f"its mark or label cannot be stored: {ascii((entry.stamp.mark, entry.label))[:160]}")


def _stacked(arrays: Sequence[NDArray[Any]], identity: Identity) -> NDArray[Any]:
    if not arrays:
        return np.empty((0, identity.dimensions), identity.dtype)
    with np.errstate(over="ignore"):  # told of below, by name
        return np.concatenate(arrays, dtype=identity.dtype, casting="same_kind")


def _check_finite(entries: Sequence[Entry], rows: NDArray[Any], owners: NDArray[np.intp], identity: Identity) -> None:
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        entry = entries[owners[int(finite.argmin())]]
        raise _wrong(entry, f"a vector of it has values that {identity.dtype} cannot hold")


def _wrong(entry: Entry, why: str) -> UsageError:
    return UsageError(f"{printable(Path(entry.path))}: {why}")
