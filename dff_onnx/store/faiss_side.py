"""An approximate index of faiss beside an index in a file: quick for tens of millions, and some neighbours missed.

It is made of the vectors, can be made again at any time, and is refused once the vectors have changed. The file is a
line of JSON and what faiss writes; faiss reads it only after its sha256 was compared, because its reader trusts files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.files import write_atomically
from dff_onnx.store.postgres_url import is_postgres
from dff_onnx.store.protocol import Kind, VectorStore, check_not_empty

FORMAT = "dff-onnx/faiss/1"
GRAPH = "HNSW32,SQfp16"  # 32 links a vector, vectors as halves
LONGEST_LINE = 4096
Freshness = Literal["none", "fresh", "stale"]


class FaissSide:
    """Near neighbours by inner product, from a graph that faiss built.

    `build` makes one and writes it, `open` reads it back.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def build(cls, store: VectorStore, path: Path, kind: Kind = "images", effort: int = 200) -> Self:
        """Builds it of all vectors of a kind, block by block, and writes it.

        Args:
            store: whose vectors.
            path: of the file; `beside` names a good one.
            kind: of vectors.
            effort: neighbours looked at for each vector (`efConstruction`).

        Raises:
            UsageError: when faiss is not installed.
            StoreError: when there are no vectors.
            OutputError: when it cannot be written.
        """
        faiss = _faiss()
        check_not_empty(store, kind)
        inner = faiss.index_factory(store.identity.dimensions, GRAPH, faiss.METRIC_INNER_PRODUCT)
        inner.hnsw.efConstruction = effort
        index = faiss.IndexIDMap(inner)
        state = store.state()
        for block in store.blocks(kind):
            vectors = np.ascontiguousarray(block.vectors, np.float32)
            if not index.is_trained:
                index.train(vectors)
            index.add_with_ids(vectors, block.ids)
        if store.state() != state:
            raise StoreError(f"{store.where}: changed while its graph was built; build it once nobody writes")
        data = faiss.serialize_index(index).tobytes()
        about = {"format": FORMAT, "of": _of(store, kind, state), "sha256": hashlib.sha256(data).hexdigest()}
        write_atomically(path, json.dumps(about, sort_keys=True).encode() + b"\n" + data)
        return cls(index)

    @classmethod
    def open(cls, store: VectorStore, path: Path, kind: Kind = "images") -> Self:
        """Reads it back.

        Raises:
            UsageError: when there is none, or faiss is not installed.
            StoreError: when it is damaged, or older than the vectors.
        """
        faiss = _faiss()
        try:
            line, _, data = path.read_bytes().partition(b"\n")
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror}); build it first: {_how(store)}") from error
        about = _about(line)
        if about.get("format") != FORMAT or about.get("sha256") != hashlib.sha256(data).hexdigest():
            raise StoreError(f"{path}: is no graph of an index, or is damaged; build it anew: {_how(store)}")
        if about.get("of") != _of(store, kind, store.state()):
            raise StoreError(
                f"{path}: was built of other {kind} than {store.where} holds now; build it anew: {_how(store)}"
            )
        return cls(faiss.deserialize_index(np.frombuffer(data, np.uint8)))

    def __call__(self, queries: NDArray[np.floating], k: int, effort: int = 128) -> NDArray[np.int64]:
        """Ids `(q, k)` of near vectors, the nearest first; -1 where fewer were found.

        Args:
            queries: `(q, d)`.
            k: how many.
            effort: candidates kept while searching (`efSearch`); more find more, and take longer.
        """
        faiss = _faiss()
        graph = faiss.downcast_index(self._index.index)
        graph.hnsw.efSearch = max(int(effort), int(k))
        ids: NDArray[np.int64] = self._index.search(np.ascontiguousarray(queries, np.float32), int(k))[1]
        return ids


def beside(path: Path, kind: Kind = "images") -> Path:
    """Where the graph of an index in a file lies.

    >>> beside(Path("index.db")).name
    'index.db.images.faiss'
    """
    return path.with_name(f"{path.name}.{kind}.faiss")


def file_beside(store: VectorStore, kind: Kind = "images") -> Path:
    """Where the graph of an open index lies.

    Raises:
        UsageError: for an index on a server.
    """
    if is_postgres(store.where):
        raise UsageError(f"{store.where}: is on a server; graphs of faiss lie beside an index in a file")
    return beside(Path(store.where), kind)


def freshness(store: VectorStore, kind: Kind = "images") -> Freshness:
    """Whether there is a graph beside an index, and it is of the vectors that the index holds now.

    Its first line tells; whether the rest is damaged, `FaissSide.open` sees.
    """
    if is_postgres(store.where):
        return "none"
    try:
        with beside(Path(store.where), kind).open("rb") as file:
            about = _about(file.readline(LONGEST_LINE))
    except OSError:
        return "none"
    return "fresh" if about.get("of") == _of(store, kind, store.state()) else "stale"


def recall(found: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """The share of the exact neighbours `(q, k)` that were found, in any order.

    >>> recall(np.array([[1, 2, 9]]), np.array([[1, 2, 3]]))
    0.6666666666666666
    """
    hits = sum(len(np.intersect1d(ours, theirs)) for ours, theirs in zip(found, exact, strict=True))
    return hits / exact.size


def _of(store: VectorStore, kind: Kind, state: str) -> list[str]:
    return [kind, state, hashlib.sha256(store.identity.to_json().encode()).hexdigest()]


def _how(store: VectorStore) -> str:
    return f"`dff-onnx index-prepare {shlex.quote(store.where)} --faiss`"


def _about(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line[:LONGEST_LINE])
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _faiss() -> Any:
    if importlib.util.find_spec("faiss") is None:
        raise UsageError("an approximate index needs faiss: pip install 'dff-onnx[ann]'")
    import faiss

    return faiss
