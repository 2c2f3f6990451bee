"""pgvector's HNSW index: near neighbours without reading everything, some of them missed.

Inner products, the larger the nearer: descriptors have unit length. An index takes `vector` up to 2000 dimensions and
`halfvec` up to 4000 (pgvector's README, "HNSW"); longer float32 vectors are kept as they are and indexed as halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.store.identity import Identity
from dff_onnx.store.postgres_connection import Postgres
from dff_onnx.store.postgres_store import PostgresStore
from dff_onnx.store.protocol import Kind

MOST_AS_VECTOR = 2000
MOST_AS_HALVES = 4000
MOST_FOUND = 1000  # pgvector's largest `hnsw.ef_search`


@dataclass(frozen=True, slots=True)
class Hnsw:
    """How the graph is built.

    Attributes:
        links: of a vector in each layer (pgvector's `m`), 2 to 100.
        effort: neighbours looked at for each (`ef_construction`), at least twice the links, at most 1000.

    Raises:
        UsageError: when these cannot be.
    """

    links: int = 16
    effort: int = 64

    def __post_init__(self) -> None:
        if not 2 <= self.links <= 100 or not 2 * self.links <= self.effort <= 1000:
            raise UsageError(
                f"{self.links} links with an effort of {self.effort}: 2 to 100 links, and an effort of twice as many "
                "to 1000, can be"
            )


class PostgresNearest:
    """Searches an index on a server by its graph; the server keeps the graph up to date.

    Args:
        store: may be closed later; this has a connection of its own.
        kind: of vectors.

    Raises:
        UsageError: when vectors have more dimensions than a graph takes.
    """

    def __init__(self, store: PostgresStore, kind: Kind = "images") -> None:
        self._stored, self._operators = _indexed(store.identity)
        self._identity = store.identity
        self._kind = kind
        self._table = f"{store.url.schema}.{kind}"
        self._index = f"nearest_{kind}"
        self._schema = store.url.schema
        self._server = Postgres(store.url)

    def build(self, options: Hnsw | None = None) -> None:
        """Builds the graph anew. Writers wait meanwhile."""
        chosen = options or Hnsw()
        with self._server.transaction():
            self._server.run(f"DROP INDEX IF EXISTS {self._schema}.{self._index}")
            self._server.run(
                f"CREATE INDEX {self._index} ON {self._table} USING hnsw (({self._stored}) {self._operators}) "
                f"WITH (m = {int(chosen.links)}, ef_construction = {int(chosen.effort)})"
            )

    def __call__(self, queries: NDArray[np.floating], k: int, effort: int = 100) -> NDArray[np.int64]:
        """Ids `(q, k)` of near vectors, the nearest first; -1 where fewer were found.

        Args:
            queries: `(q, d)`.
            k: 1 to 1000.
            effort: candidates kept while searching (`hnsw.ef_search`); more find more, and take longer.

        Raises:
            UsageError: when k cannot be.
        """
        if not 1 <= k <= MOST_FOUND or not k <= effort <= MOST_FOUND:
            raise UsageError(f"the {k} nearest with an effort of {effort}: k <= effort <= {MOST_FOUND} is needed")
        found = np.full((len(queries), k), -1, np.int64)
        kind = self._stored.partition("::")[2] or _column(self._identity)
        with self._server.transaction("READ ONLY"):
            self._server.run(f"SET LOCAL hnsw.ef_search = {int(effort)}")
            for row, query in zip(found, queries, strict=True):
                near = self._server.run(
                    f"SELECT id FROM {self._table} ORDER BY ({self._stored}) <#> CAST(:query AS {kind}) LIMIT {int(k)}",
                    query=str(np.asarray(query, np.float64).tolist()),
                )
                row[: len(near)] = [number for (number,) in near]
        return found

    def close(self) -> None:
        """Ends the connection."""
        self._server.close()


def _column(identity: Identity) -> str:
    return f"{'halfvec' if identity.dtype == 'float16' else 'vector'}({identity.dimensions})"


def _indexed(identity: Identity) -> tuple[str, str]:
    """What is indexed, and pgvector's name for its inner products."""
    if identity.dimensions > MOST_AS_HALVES:
        raise UsageError(
            f"a graph takes {MOST_AS_HALVES} dimensions at most, and these vectors have {identity.dimensions}: "
            "search exactly, or make an index of shorter descriptors"
        )
    if identity.dtype == "float16":
        return "vector", "halfvec_ip_ops"
    if identity.dimensions > MOST_AS_VECTOR:
        return f"vector::halfvec({identity.dimensions})", "halfvec_ip_ops"
    return "vector", "vector_ip_ops"
