"""A search from a query to a folder: ranking, where in the results it is, files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dff_onnx.errors import ImageError, NoImagesError
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.search_found import Part, SearchFound
from dff_onnx.runs.claim import Claim, claimed, identity_of
from dff_onnx.runs.descriptors import Describer
from dff_onnx.runs.search import SearchSettings, search
from dff_onnx.runs.where import WhereSettings, where
from dff_onnx.runs.write_search import folder_of, needed_folder_of, write_search
from dff_onnx.store import VectorStore


@dataclass(frozen=True, slots=True)
class FindSettings:
    """How an index is searched, and what else is wanted.

    Attributes:
        search: how.
        where: how the query is looked for in the results; None for not at all.
        also, without: further parts, wanted and not.
    """

    search: SearchSettings = field(default_factory=SearchSettings)
    where: WhereSettings | None = None
    also: tuple[Part, ...] = ()
    without: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `run.toml` stores it."""
        own = {} if self.where is None else {"where_k": self.where.k, "where_by": self.where.by}
        parts = {"also": self.also, "without": self.without}
        return {**self.search.to_dict(), **own, **{key: [_told(part) for part in of] for key, of in parts.items()}}


def find(
    store: VectorStore,
    describer: Describer,
    query: Part,
    settings: FindSettings | None = None,
    *,
    folder: Path | None = None,
    graph: Path | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SearchFound:
    """Searches an index, and writes what was found where that is wanted.

    Args:
        store, describer: the index, as `open_index` gives it.
        query: a picture or a part of one.
        settings: how; by default the ten most similar images.
        folder: of the index's pictures; by default where the index says that they are.
        graph: see `search`.
        out: a folder for search.html, contact_sheet.png, results.json and overlays; None writes nothing.
        overwrite: whether a search of other settings in `out` may be replaced.
        progress: follows the stages.

    Raises:
        UsageError: as `search` and `where`; when `out` holds something else; when nobody says where the pictures are.
        NoImagesError: when a picture that is asked for cannot be used.
        StoreError: as `search`.
        OutputError: when `out` cannot be written.
    """
    settings, progress = settings or FindSettings(), progress or Silent()
    needed = settings.where is not None or out is not None
    root = needed_folder_of(store, folder) if needed else folder_of(store, folder)
    claim: AbstractContextManager[Claim | None] = nullcontext()
    if out is not None and root is not None:
        kept = {"index": store.where, "query": _told(query), **settings.to_dict()}
        claim = claimed(out, root, identity_of(root, kept, store.identity.fingerprint), overwrite)
    with claim as work, _asked_for():
        progress.start("searching")
        found = search(
            store, describer, query, settings.search,
            also=settings.also, without=settings.without, folder=root, graph=graph,
        )  # fmt: skip
        located = None
        if settings.where is not None and root is not None:
            found, located = where(found, root, describer, settings.where, progress)
        if out is not None and root is not None and work is not None:
            work.settle()
            write_search(found, root, out, located)
    return found


@contextmanager
def _asked_for() -> Iterator[None]:
    """A picture that was asked for and cannot be used leaves nothing to show; results that cannot be read are told."""
    try:
        yield
    except ImageError as error:
        raise NoImagesError(f"{error}; give a picture to search for") from error


def _told(part: Part) -> str:
    """A part in one line, as a run's settings keep it."""
    told = part.to_dict()
    return " ".join([told["path"]] + [f"{name} {told[name]}" for name in ("box", "concept") if told[name] is not None])
