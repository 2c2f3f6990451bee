"""An index opened to be searched: its vectors, and what describes pictures as its own were described."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from dff_onnx.backbone.session import Backbone
from dff_onnx.concepts.bank import Holder
from dff_onnx.errors import StoreError, UsageError
from dff_onnx.progress import Progress
from dff_onnx.records import Fingerprint
from dff_onnx.report.whitening_file import WhiteningFile, whitening_of
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.object_votes import stored_votes
from dff_onnx.runs.opening import Opening, network_of, open_as
from dff_onnx.store import Identity, VectorStore, open_store

INDEX = Holder("index", "vectors", StoreError)
WITH, ALPHA = "augmented_with", "augmented_alpha"  # what an augmented index says beside its descriptor's settings
WHITENING, FOLDER = "whitening", "folder"  # names of attachments: what whitened the vectors, where the pictures are


@dataclass(frozen=True, slots=True, eq=False)
class OpenedIndex:
    """An index and what describes pictures for it; leaving its `with` closes the index.

    Attributes:
        store: open for reading.
        describer: with the index's network, settings and whitening.
    """

    store: VectorStore
    describer: Describer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.close()


def open_index(
    where: str | Path,
    model: str | Path | None = None,
    opening: Opening | None = None,
    progress: Progress | None = None,
) -> OpenedIndex:
    """Opens an index to be searched, and its network.

    Args:
        where: a file, or `postgresql://...`; see `dff_onnx.store.open_store`.
        model: the ONNX file; by default it is looked for by its sha256, see `dff_onnx.zoo.by_digest`.
        opening: device; what it says of preprocessing is not heeded.
        progress: follows the search.

    Raises:
        UsageError: when there is no index.
        StoreError: when there is something else, or `model` is another network, naming both fingerprints.
        ModelError: when the network is not found, or as `Backbone.open`.
        DeviceError, OutputError, NetworkError: as `Backbone.open` and `open_store`.

    >>> import tempfile
    >>> from dff_onnx.backbone.session import Backbone
    >>> from dff_onnx.runs.index import index_folder, plan_index
    >>> examples = Path(__file__).parents[2] / "examples" / "rodents"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     where = Path(folder) / "index.db"
    ...     plan = plan_index(where, {"kind": "mac", "size": 64})
    ...     made = index_folder(examples, where, Backbone.open(threads=1), plan)
    ...     with open_index(where) as index:
    ...         print(index.describer.settings.kind, index.store.counts().images == made.images)
    mac True
    """
    store = open_store(where)
    try:
        settings, whitening = settings_of(store.identity, store.where), stored_whitening(store)
        backbone = open_network_of(
            store.identity.fingerprint, store.where, model, opening, progress, settings.kind == "codes"
        )
        votes = stored_votes(store, settings.votes)
        describer = Describer(backbone, settings, whitening.whitening if whitening else None, votes)
        check_dimensions(describer, store.identity, store.where)
        return OpenedIndex(store, describer)
    except BaseException:
        store.close()
        raise


def open_network_of(
    fingerprint: Fingerprint,
    where: str,
    model: str | Path | None = None,
    opening: Opening | None = None,
    progress: Progress | None = None,
    gridless: bool = False,
) -> Backbone:
    """The network of an index; arguments and errors as `open_index`.

    `gridless` says whether a layer without a grid will do, see `Backbone.open`.
    """
    file = network_of(fingerprint, where, model, progress, INDEX)
    return open_as(fingerprint, where, file, replace(opening or Opening(), gridless=gridless), INDEX)


def is_augmented(identity: Identity) -> bool:
    """Whether the vectors of an index were moved towards their neighbours; see `augment_index`."""
    return WITH in identity.settings


def settings_of(identity: Identity, where: str) -> DescriptorSettings:
    """What describes the pictures of an index, before they were augmented where they were.

    Raises:
        StoreError: when it is nothing that this version knows.
    """
    try:
        own = {name: value for name, value in identity.settings.items() if name not in (WITH, ALPHA)}
        return DescriptorSettings.from_dict(identity.descriptor, own)
    except UsageError as error:
        raise StoreError(
            f"{where}: its vectors are none that `dff-onnx index` makes ({error}); give an index that it made"
        ) from error


def stored_whitening(store: VectorStore) -> WhiteningFile | None:
    """The whitening that an index keeps, None where its vectors are not whitened.

    Raises:
        StoreError, RefusedError: when it is missing, or is not the one that the vectors were made with.
    """
    wanted = store.identity.whitening
    if wanted is None:
        return None
    data = store.attachment(WHITENING)
    if data is None or hashlib.sha256(data).hexdigest() != wanted:
        found = "does not keep the whitening" if data is None else "keeps another whitening than that"
        raise StoreError(
            f"{store.where}: {found} of its vectors (sha256 {wanted[:12]}...); give it to "
            "`dff-onnx index` with --whitening, or make the index anew"
        )
    return whitening_of(data, f"{store.where}: its whitening")


def check_dimensions(describer: Describer, identity: Identity, where: str) -> None:
    """Refuses an index whose vectors cannot be what the describer makes.

    Raises:
        StoreError: naming both.
    """
    found = describer.dimensions
    if found != identity.dimensions:
        raise StoreError(
            f"{where}: holds vectors of {identity.dimensions} dimensions, and its network makes "
            f"{found}; make the index anew"
        )
