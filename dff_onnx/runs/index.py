"""A folder's pictures become an index: new and changed ones are added, those that are gone are removed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.errors import ImageError, RefusedError, StoreError, UsageError
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Failure
from dff_onnx.report.whitening_file import WhiteningFile, read_whitening, whitening_bytes, whitening_sha256
from dff_onnx.runs.collect import none_usable
from dff_onnx.runs.descriptors import Describer, DescriptorSettings
from dff_onnx.runs.object_votes import VOTES, ObjectVotes, stored_votes, votes_bytes
from dff_onnx.runs.opened_index import FOLDER, WHITENING, is_augmented, settings_of, stored_whitening
from dff_onnx.runs.whiten import check_whitening, described_in_order
from dff_onnx.store import (
    Entry,
    Identity,
    Stamp,
    VectorStore,
    open_store,
    shown_address,
    stored_identity,
    write_store,
)
from dff_onnx.store.identity import VectorDtype

BATCH = 100  # pictures of a transaction: what a kill may cost


@dataclass(frozen=True, slots=True, eq=False)
class IndexPlan:
    """How the pictures of an index are described: as it says itself, as is wanted, or by default.

    Attributes:
        identity: of the index that is there, None where there is none.
        settings: of the descriptors.
        whitening: None for vectors that are not whitened.
        dtype: of the vectors in the index.
        whitening_from: the file, for sentences.
        votes: of a collection, for `os-egm`.
    """

    identity: Identity | None
    settings: DescriptorSettings
    whitening: WhiteningFile | None
    dtype: VectorDtype
    whitening_from: str = ""
    votes: ObjectVotes | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """What became of an index.

    Attributes:
        added, changed, removed, unchanged: pictures.
        failures: pictures that could not be used; they are not in the index.
        images, regions: that it holds now.
        state: of the index, see `VectorStore.state`.
        device: the network really ran on.
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    failures: tuple[Failure, ...]
    images: int
    regions: int
    state: str
    device: str


def plan_index(
    where: str | Path,
    wanted: Mapping[str, Any] | None = None,
    whitening: str | Path | None = None,
    dtype: VectorDtype | None = None,
) -> IndexPlan:
    """What an index says of its descriptors, and what is wanted.

    Args:
        where: a file, or `postgresql://...`; there need be nothing yet.
        wanted: attributes of `DescriptorSettings`; what is not named is as the index has it, for a new one as the
            whitening has it, or the default.
        whitening: a file that `dff-onnx whiten` wrote; None for the one that the index keeps, if any.
        dtype: None for that of the index, float16 for a new one.

    Raises:
        UsageError: for settings that cannot be, or no file of a whitening.
        StoreError: when there is something else than an index, or an augmented one.
        RefusedError: when the whitening is none.
        OutputError, NetworkError: as `dff_onnx.store.open_store`.

    >>> plan_index("none.db", {"kind": "rmac"}).settings.size
    320
    """
    identity = stored_identity(where)
    if identity is not None and is_augmented(identity):
        raise StoreError(
            f"{shown_address(where)}: its vectors were moved towards their neighbours; bring the index that it was "
            "made of up to date, and augment that anew: `dff-onnx index-augment`"
        )
    given = read_whitening(whitening) if whitening is not None else None
    usual, votes = None, None
    if identity is not None:
        usual = settings_of(identity, shown_address(where))
        with open_store(where) as store:
            given = given or stored_whitening(store)
            votes = stored_votes(store, usual.votes)
    elif given is not None:
        usual = _settings_of_whitening(given, str(whitening))
    return IndexPlan(
        identity,
        replace(usual, **(wanted or {})) if usual else DescriptorSettings(**(wanted or {})),
        given,
        dtype or (identity.dtype if identity else "float16"),
        str(whitening),
        votes,
    )


def index_folder(
    folder: str | Path,
    where: str | Path,
    activations: Activations,
    plan: IndexPlan | None = None,
    *,
    by_content: bool = False,
    keep_missing: bool = False,
    progress: Progress | None = None,
) -> Indexed:
    """Brings an index up to date with a folder; the index is made where there is none.

    A call that was ended, however it was, is taken up by the next: what was put into the index is not described again.

    Args:
        folder: of pictures, looked through with its subfolders; of one picture, nothing is removed. A picture's label
            is the first folder on its path.
        where: a file, or `postgresql://...`.
        activations: the network, as `Backbone.open` gives it.
        plan: how pictures are described; `plan_index(where)` where None.
        by_content: tell changed files by their sha256, not by size and time. An index that was made so stays so.
        keep_missing: leave pictures in the index that are no longer in the folder.
        progress: follows the pictures.

    Raises:
        UsageError: when there is no such folder, or none of the pictures of the index is in it.
        NoImagesError: when the index holds nothing, and not one picture can be used.
        RefusedError: for a whitening of another network, descriptor or settings.
        StoreError: when there is something else than an index, or one of other settings.
        ModelError: when activations are negative or not finite.
        OutputError: when the index cannot be written, or another process is writing it.
        NetworkError: when a server does not let us in.

    >>> import tempfile
    >>> from dff_onnx.backbone.session import Backbone
    >>> examples = Path(__file__).parents[2] / "examples" / "rodents"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     where, network = Path(folder) / "index.db", Backbone.open(threads=1)
    ...     first = index_folder(examples, where, network, plan_index(where, {"kind": "spoc", "size": 64}))
    ...     again = index_folder(examples, where, network)
    >>> first.added == first.images == again.unchanged, again.added
    (True, 0)
    """
    folder, plan, progress = Path(folder), plan or plan_index(where), progress or Silent()
    paths, root = walk_pictures(folder), root_of(folder)
    describer = Describer(activations, plan.settings, plan.whitening.whitening if plan.whitening else None, plan.votes)
    with write_store(where, _identity(describer, plan)) as store:
        known = store.stamps()
        keep_missing = keep_missing or folder.is_file()
        if not keep_missing:
            _check_folder(folder, paths, known, store.where)
        _keep(store, root if not folder.is_file() or not known else None, plan)
        by_content = by_content or any(stamp.mark.startswith("sha256:") for stamp in known.values())
        look = _Look(root, describer, known, by_content)
        return _brought_up_to_date(store, paths, look, keep_missing, folder, progress)


def check_index(where: str | Path, activations: Activations, plan: IndexPlan) -> None:
    """Before other work: refuses an index that `index_folder` would refuse to bring up to date by `plan`.

    Args:
        where: a file, or `postgresql://...`; where nothing is, nothing is made.
        activations, plan: as those of `index_folder`.

    Raises:
        StoreError: for one of other settings.
        OutputError: when it cannot be written, or another process is writing it.
        NetworkError: when a server does not let us in.
    """
    if plan.identity is not None:
        whitening = plan.whitening.whitening if plan.whitening else None
        write_store(where, _identity(Describer(activations, plan.settings, whitening, plan.votes), plan)).close()


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """Looks at one picture: whether it changed, and what it is."""

    root: Path
    describer: Describer
    known: Mapping[str, Stamp]
    by_content: bool

    def stamp(self, path: Path) -> Stamp:
        """Of the file as it is now."""
        file = self.root / path
        try:
            return Stamp.of_content(file.read_bytes()) if self.by_content else Stamp.of_file(file)
        except OSError as error:
            raise ImageError(file, f"cannot be read ({error.strerror})") from error

    def entry(self, path: Path) -> Entry | None:
        """As it goes into the index; None where it is there as it is."""
        stamp = self.stamp(path)  # before it is read: what changes meanwhile is seen the next time
        name = path.as_posix()
        if self.known.get(name) == stamp:
            return None
        found = self.describer.describe(self.describer.read(self.root / path), name)
        label = printable(Path(path.parts[0])) if len(path.parts) > 1 else None
        return Entry(name, stamp, found.vector, found.parts, found.boxes, found.scores, label)


def _brought_up_to_date(
    store: VectorStore, paths: Sequence[Path], look: _Look, keep_missing: bool, folder: Path, progress: Progress
) -> Indexed:
    there = {path.as_posix() for path in paths}
    gone = [] if keep_missing else [path for path in look.known if path not in there]
    removed = store.delete(gone) if gone else 0
    progress.start("indexing", len(paths))
    put, changed, failures = 0, 0, list[ImageError]()
    entries = _entries(described_in_order(paths, look.entry, look.describer, progress), failures)
    for batch in _batches(entries):
        store.put(batch)
        put += len(batch)
        changed += sum(entry.path in look.known for entry in batch)
    # What can no longer be read is not what its vectors say.
    broken = [path for path in (error.path.as_posix() for error in failures) if path in look.known]
    removed += store.delete(broken) if broken else 0
    counts = store.counts()
    if not counts.images and failures:
        raise none_usable(folder, failures)
    return Indexed(
        added=put - changed,
        changed=changed,
        removed=removed,
        unchanged=len(paths) - put - len(failures),
        failures=tuple(Failure(printable(error.path), error.reason) for error in failures),
        images=counts.images,
        regions=counts.regions,
        state=store.state(),
        device=look.describer.activations.device,
    )


def _entries(found: Iterator[tuple[Path, Entry | ImageError | None]], failures: list[ImageError]) -> Iterator[Entry]:
    """What is to be put; failures are listed by their paths in the folder."""
    for path, one in found:
        if isinstance(one, ImageError):
            failures.append(ImageError(path, one.reason))
        elif one is not None:
            yield one


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while batch := list(itertools.islice(entries, BATCH)):
        yield batch


def _keep(store: VectorStore, root: Path | None, plan: IndexPlan) -> None:
    """Keeps beside the vectors where the pictures are, and what they need; a kill may have come between."""
    kept = {FOLDER: os.fsencode(root.resolve())} if root else {}
    if plan.whitening is not None:
        kept[WHITENING] = whitening_bytes(plan.whitening)
    if plan.votes is not None:
        kept[VOTES] = votes_bytes(plan.votes)
    for name, data in kept.items():
        if store.attachment(name) != data:
            store.attach(name, data)


def _settings_of_whitening(file: WhiteningFile, path: str) -> DescriptorSettings:
    try:
        return DescriptorSettings.from_dict(file.descriptor, file.settings)
    except UsageError as error:
        raise RefusedError(
            f"{path}: is a whitening of descriptors that this version does not know ({error})"
        ) from error


def _identity(describer: Describer, plan: IndexPlan) -> Identity:
    """What the index has to be; the store refuses another."""
    fingerprint, whitening = describer.activations.fingerprint, plan.whitening
    if plan.identity is None and whitening is not None and plan.votes is None:  # else it is the voting regions'
        check_whitening(whitening, fingerprint, plan.settings, plan.whitening_from)
    return Identity(
        fingerprint,
        plan.settings.kind,
        plan.identity.dimensions if plan.identity else describer.dimensions,
        plan.settings.to_dict(),
        plan.dtype,
        whitening_sha256(whitening) if whitening else None,
    )


def _check_folder(folder: Path, paths: Sequence[Path], known: Mapping[str, Stamp], where: str) -> None:
    """Refuses to take one folder for another, whose pictures would all be removed."""
    if known and not any(path.as_posix() in known for path in paths):
        raise UsageError(
            f"{folder}: holds none of the {len(known)} pictures of {where}; give the folder that was indexed, or "
            "another index, or add the pictures beside those of the index with --keep-missing"
        )
