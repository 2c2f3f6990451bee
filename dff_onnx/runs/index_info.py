"""What an index says of itself, and whether it is sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.report.whitening_file import WhiteningFile
from dff_onnx.runs.graph_file import Standing, standing
from dff_onnx.runs.opened_index import stored_whitening
from dff_onnx.store import Counts, Identity, Kind, VectorStore, open_store
from dff_onnx.store.faiss_side import Freshness, freshness
from dff_onnx.store.protocol import KINDS


@dataclass(frozen=True, slots=True, eq=False)
class IndexInfo:
    """An index.

    Attributes:
        where: it is.
        identity: of its vectors.
        counts: of what it holds.
        file_bytes: None on a server.
        groups: pictures of each label, by falling number; `None` are those without one.
        whitening: that it keeps, None where its vectors are not whitened.
        state: see `VectorStore.state`.
        graphs: beside the index, for approximate search: `none`, `fresh`, or `stale` where the vectors changed since;
            of images, of regions.
        to_rank_on: the same of the graphs that `index-graph` writes beside the index, or `damaged`.
        problems: a clause each; None where it was not asked.
    """

    where: str
    identity: Identity
    counts: Counts
    file_bytes: int | None
    groups: Mapping[str | None, int]
    whitening: WhiteningFile | None
    state: str
    graphs: Mapping[Kind, Freshness]
    to_rank_on: Mapping[Kind, Standing]
    problems: tuple[str, ...] | None


def index_info(where: str | Path, check: bool = False) -> IndexInfo:
    """Looks at an index.

    Args:
        where: a file, or `postgresql://...`.
        check: read everything; otherwise what is damaged raises where it is met. With it, what cannot be told of a
            damaged index is left empty.

    Raises:
        UsageError: when there is no index.
        StoreError: when there is something else.
        OutputError, NetworkError: as `dff_onnx.store.open_store`.

    >>> import tempfile
    >>> from dff_onnx.backbone.session import Backbone
    >>> from dff_onnx.runs.index import index_folder, plan_index
    >>> examples = Path(__file__).parents[2] / "examples" / "rodents"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     where = Path(folder) / "index.db"
    ...     plan = plan_index(where, {"kind": "mac", "size": 64})
    ...     made = index_folder(examples, where, Backbone.open(threads=1), plan)
    ...     print(index_info(where, check=True).problems, index_info(where).identity.dimensions)
    () 384
    """
    with open_store(where) as store:
        problems = store.check() if check else None
        path = Path(where)
        return IndexInfo(
            where=store.where,
            identity=store.identity,
            counts=Counts(0, 0, 0) if problems else store.counts(),
            file_bytes=path.stat().st_size if path.is_file() else None,
            groups={} if problems else _groups(store),
            whitening=None if problems else stored_whitening(store),
            state="" if problems else store.state(),
            graphs={} if problems else {kind: freshness(store, kind) for kind in KINDS},
            to_rank_on={} if problems else {kind: standing(store, kind) for kind in KINDS},
            problems=problems,
        )


def _groups(store: VectorStore) -> dict[str | None, int]:
    found: Counter[str | None] = Counter()
    for block in store.blocks("images"):
        found.update(image.label for image in store.images(block.ids.tolist()))
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0] or "")))
