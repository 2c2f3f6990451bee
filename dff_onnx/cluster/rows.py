"""`A` on the workers of a Dask cluster: the engine behind `factorization.distributed`.

Rows and coefficients are results of tasks that stay on the worker which made them. Dask makes what a lost worker held
anew from the tasks that led there, on another: a part's rows from its source, its coefficients pass after pass. All
that is sent along sits in those tasks, nothing in a worker's memory alone, so that any of them may be lost.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar
from uuid import uuid4

from distributed import Client, Future

from dff_onnx.arrays import Array
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.cluster.connect import reached
from dff_onnx.errors import ArrayError
from dff_onnx.factorization import Part, Rows

WINDOW = 64  # results that are fetched at once

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A part's rows.

    Attributes:
        A: `(rows, c)`.
        cuts: rows of each block; None cuts every 2048 rows.
    """

    A: Array
    cuts: tuple[int, ...] | None = None

    @property
    def rows(self) -> Rows:
        """As the factorization takes them."""
        return Rows(self.A, self.cuts)


# Makes a part's rows, the same each time, wherever it is called; it is sent there.
Source = Callable[[], Loaded]


@dataclass(frozen=True, slots=True)
class Extent:
    """A part in the whole: numbers of its first block and row, and how many rows it has."""

    block: int
    row: int
    size: int


@dataclass(frozen=True, slots=True)
class DaskRows:
    """Rows on the workers of a cluster. Made by `opened`.

    Attributes:
        client: of the cluster.
        loaded: each part's rows, or its source, where rows are made anew for every pass.
        extents: of the parts.
        coefficients: of each part, None before the first pass; the same list for these rows at whatever scale, so that
            who opened them has what was found of them.
        scale: see `DistributedRows`.
        holders: of each part, the addresses of workers that have its rows; work goes elsewhere once they are gone.
            Empty where rows are made anew.
    """

    client: Client
    loaded: tuple[Future, ...]
    extents: tuple[Extent, ...]
    coefficients: list[Future | None]
    scale: float = 1.0
    holders: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def opened(cls, client: Client, sources: Sequence[Source], keep: bool = True) -> Self:
        """Has the workers make rows.

        Args:
            client: of a cluster.
            sources: one a part; each must give at least one row.
            keep: whether workers keep the rows; Dask writes to their disks what exceeds their memory. Else rows are
                made anew for every pass, and memory holds those alone that are worked on.
        """
        parts = [client.submit(_made if keep else _held, source, pure=False) for source in sources]
        sizes = [client.submit(_sizes, part, pure=False) for part in parts]
        return cls._of(client, parts, list(fetched(client, sizes)), _holders(client, parts) if keep else ())

    @classmethod
    def of(cls, client: Client, loaded: Sequence[Future], sizes: Sequence[tuple[int, int]]) -> Self:
        """From parts that workers hold.

        Args:
            client: of the cluster.
            loaded: futures of parts, `Loaded`.
            sizes: blocks and rows of each.
        """
        return cls._of(client, loaded, sizes, _holders(client, loaded))

    @classmethod
    def _of(
        cls,
        client: Client,
        loaded: Sequence[Future],
        sizes: Sequence[tuple[int, int]],
        holders: tuple[tuple[str, ...], ...],
    ) -> Self:
        extents, block, row = list[Extent](), 0, 0
        for blocks, rows in sizes:
            extents.append(Extent(block, row, rows))
            block, row = block + blocks, row + rows
        return cls(client, tuple(loaded), tuple(extents), [None] * len(extents), holders=holders)

    @property
    def array(self) -> None:
        """There is no one matrix."""
        return

    def scaled(self, scale: float) -> Self:
        """See `DistributedRows`."""
        return replace(self, scale=scale)

    def each(self, work: Callable[[Part], R]) -> Iterator[R]:
        """See `DistributedRows`."""
        return self.each_with(work, [None] * len(self.extents))

    def each_with(self, work: Callable[..., R], own: Sequence[Any]) -> Iterator[R]:
        """`each` for a function that takes something of each part's own beside it: its pictures, say."""
        sent = self._sent(work)
        return fetched(self.client, [self._task(sent, n, self.coefficients[n], one) for n, one in enumerate(own)])

    def each_of_coefficients(self, work: Callable[[Array, Any], R], own: Sequence[Any]) -> Iterator[R]:
        """`each_with` for a function of the coefficients `(k, rows)` alone: no rows travel to an idle worker."""
        sent = self._sent(work)
        tasks = [
            self.client.submit(_applied, sent.work, Ht, one, key=_key(sent), **self._near(number))
            for number, (Ht, one) in enumerate(zip(self.coefficients, own, strict=True))
        ]
        return fetched(self.client, tasks)

    def update(self, work: Callable[[Part], tuple[Array, R]], cold: bool = False) -> Iterator[R]:
        """See `DistributedRows`."""
        sent = self._sent(work)
        results = list[Future]()
        for number in range(len(self.extents)):
            both = self._task(sent, number, None if cold else self.coefficients[number])
            self.coefficients[number] = self.client.submit(operator.itemgetter(0), both, pure=False)
            results.append(self.client.submit(operator.itemgetter(1), both, pure=False))
        return fetched(self.client, results)

    def _sent(self, work: Callable[..., Any]) -> _Sent:
        """The function as a task's result: it travels once to each worker, with the concepts in it."""
        name = getattr(getattr(work, "func", work), "__name__", "worked")
        return _Sent(self.client.submit(_held, work, pure=False), name)

    def _task(self, sent: _Sent, number: int, Ht: Future | None, own: Any = None) -> Future:
        where = (self.extents[number], self.scale)
        near = self._near(number)
        return self.client.submit(_worked, sent.work, self.loaded[number], where, Ht, own, key=_key(sent), **near)

    def _near(self, number: int) -> dict[str, Any]:
        """Where Dask is to send work on a part, if it can."""
        holders = list(self.holders[number]) if self.holders else []
        return {"workers": holders, "allow_other_workers": True} if holders else {}


@dataclass(frozen=True, slots=True)
class _Sent:
    """A function on its way to the workers, and the name of its tasks."""

    work: Future
    name: str


def _key(sent: _Sent) -> str:
    return f"{sent.name}-{uuid4().hex}"


def _holders(client: Client, parts: Sequence[Future]) -> tuple[tuple[str, ...], ...]:
    with reached(client):
        found = client.who_has(list(parts))
    return tuple(tuple(found.get(part.key, ())) for part in parts)


def fetched(client: Client, futures: list[Future]) -> Iterator[Any]:
    """Results in order, a few at a time; what was fetched is forgotten on the cluster.

    Args:
        client: of the cluster.
        futures: emptied.

    Raises:
        NetworkError: when the cluster is gone, or workers end over and over.
    """
    while futures:
        some = futures[:WINDOW]
        del futures[:WINDOW]
        with reached(client):
            results = client.gather(some)
        yield from results


def _held(value: Any) -> Any:
    return value


def _made(source: Source) -> Loaded:
    return source()


def _sizes(part: Loaded | Source) -> tuple[int, int]:
    """Blocks and rows."""
    rows = _loaded(part).rows
    return sum(len(starts) - 1 for _, _, starts in rows.stretches()), int(rows.source.shape[0])


def _loaded(part: Loaded | Source) -> Loaded:
    return part if isinstance(part, Loaded) else part()


def _applied(work: Callable[[Array, Any], R], Ht: Array, own: Any) -> R:
    with single_threaded_blas():
        return work(Ht, own)


def _worked(
    work: Callable[..., R], part: Loaded | Source, where: tuple[Extent, float], Ht: Array | None, own: Any
) -> R:
    extent, scale = where
    rows = _loaded(part).rows.scaled(scale)
    if rows.source.shape[0] != extent.size:
        raise ArrayError(f"A: a part had {extent.size} rows when it was first made, and {rows.source.shape[0]} now")
    with single_threaded_blas():
        here = Part(rows, extent.block, extent.row, Ht)
        return work(here) if own is None else work(here, own)
