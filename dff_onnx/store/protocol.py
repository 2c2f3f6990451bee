"""What every index of descriptors can do, whatever holds it: a SQLite file, a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError
from dff_onnx.records import Box
from dff_onnx.store.entries import Entry, Stamp
from dff_onnx.store.identity import Identity

Kind = Literal["images", "regions"]
KINDS: tuple[Kind, Kind] = ("images", "regions")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of the index.

    Attributes:
        id: never used again once the image is replaced or deleted.
        path: relative to the folder, POSIX slashes, as `os.fsdecode` gives it; `files.printable` shows it.
        stamp: of the file whose vectors these are.
        label: its group, None where it has none.
    """

    id: int
    path: str
    stamp: Stamp
    label: str | None


@dataclass(frozen=True, slots=True)
class RegionRecord:
    """A region of an image: `image` is the image's id, `box` is in its pixels, half-open."""

    id: int
    image: int
    box: Box
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Vectors that lie side by side.

    Attributes:
        ids: `(n,)` int64, rising, of images or regions.
        images: `(n,)` int64: the image of each; of images, `ids` again.
        vectors: `(n, d)` in the index's dtype; read-only, where they came from without a copy.
    """

    ids: NDArray[np.int64]
    images: NDArray[np.int64]
    vectors: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images and regions an index holds, and bytes that their vectors take."""

    images: int
    regions: int
    vector_bytes: int


class VectorStore(Protocol):
    """An open index. One thread at a time; as many readers as there are, beside one writer.

    Every method raises StoreError for an index that is damaged, OutputError where it cannot be written (`put`,
    `delete`, `attach`, `compact`), NetworkError where a server does not answer.

    Attributes:
        where: the file or server, for sentences.
        identity: of all its vectors.
    """

    @property
    def where(self) -> str: ...

    @property
    def identity(self) -> Identity: ...

    def put(self, entries: Sequence[Entry]) -> None:
        """Adds images, all or none; a path that is there already is replaced. Some thousand vectors a call are best.

        Raises:
            UsageError: when an entry cannot be, or a path is there twice.
        """
        ...

    def delete(self, paths: Collection[str]) -> int:
        """Forgets images and their regions, all or none; how many there were. Unknown paths are passed over."""
        ...

    def stamps(self) -> dict[str, Stamp]:
        """What is indexed already, by path, sorted by the paths' bytes."""
        ...

    def counts(self) -> Counts:
        """How much it holds."""
        ...

    def blocks(self, kind: Kind) -> Iterator[Block]:
        """All vectors of a kind, by rising ids, as they were when the first block was asked for."""
        ...

    def vectors(self, kind: Kind, ids: Sequence[int]) -> NDArray[Any]:
        """Some vectors `(n, d)`, in the order of the ids.

        Raises:
            StoreError: for an id that is not there.
        """
        ...

    def images(self, ids: Sequence[int]) -> list[ImageRecord]:
        """The images with these ids, in their order; raises as `vectors` does."""
        ...

    def regions(self, ids: Sequence[int]) -> list[RegionRecord]:
        """The regions with these ids, in their order; raises as `vectors` does."""
        ...

    def find(self, path: str) -> ImageRecord | None:
        """The image of this path, None where there is none."""
        ...

    def regions_of(self, image: int) -> list[RegionRecord]:
        """The regions of an image, by rising ids; none where there is no such image."""
        ...

    def attach(self, name: str, data: bytes) -> None:
        """Keeps bytes beside the vectors, as what whitened them; replaces those of the same name."""
        ...

    def attachment(self, name: str) -> bytes | None:
        """What `attach` kept, None where there is nothing of this name."""
        ...

    def state(self) -> str:
        """A digest of all that was ever put and deleted: what was made of the vectors goes stale when it changes."""
        ...

    def check(self) -> tuple[str, ...]:
        """Reads everything; what is wrong, a clause each. Empty for a sound index."""
        ...

    def compact(self) -> None:
        """Gives the room of what was deleted back."""
        ...

    def close(self) -> None:
        """Ends the use; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_not_empty(store: VectorStore, kind: Kind = "images") -> None:
    """Refuses an index that has nothing to search in.

    Raises:
        StoreError: saying so.
    """
    counts = store.counts()
    if kind == "images" and not counts.images:
        raise StoreError(f"{store.where}: holds no images yet; `dff-onnx index FOLDER -o INDEX` adds some")
    if kind == "regions" and not counts.regions:
        raise StoreError(
            f"{store.where}: holds no regions of its {counts.images} images; make an index with regions to search them"
        )
