"""Retrieval sets searched with every kind of descriptor: the network looks at each picture once, for all of them.

A whitening is learnt on other pictures than are searched. What stays in memory are vectors: of the set, one for each
row of the table; before that, the parts of the pictures that whitenings are learnt on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets import RetrievalQuery, RetrievalSet, without_images, without_queries
from dff_onnx.datasets.dataset import counted
from dff_onnx.errors import ArrayError, NoImagesError, UsageError
from dff_onnx.evaluation.reranking import Vectors, rankings
from dff_onnx.evaluation.retrieval_scores import QueryScore, RetrievalFigures, score_rankings
from dff_onnx.evaluation.retrieval_systems import RetrievalPlan
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.images import Picture
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Box, Grid
from dff_onnx.report.found import Failure
from dff_onnx.report.names import shown
from dff_onnx.retrieval import Whitening, learn_whitening
from dff_onnx.runs.descriptors import (
    Parts,
    activations_for,
    at_scales,
    learnable,
    own_parts,
    parts_of,
    read_as_described,
    whole_vector,
)
from dff_onnx.runs.parts import Batch, in_parts

Floats = NDArray[np.float32]


def evaluate_retrieval(
    dataset: RetrievalSet, activations: Activations, plan: RetrievalPlan, progress: Progress | None = None
) -> RetrievalFigures:
    """Describes all pictures and queries, and ranks all pictures for each query.

    A query that is one of the pictures, and all of it, has that picture's vector. One with a box is cut out first, see
    `read_as_described`.

    Args:
        dataset: what should be found.
        activations: the network.
        plan: what is compared.
        progress: follows the pictures.

    Raises:
        UsageError: when a picture of the set is among those that a whitening would be learnt on.
        NoImagesError: when not one picture of the set, or to learn a whitening on, can be used.
        DatasetError: when no query is left.
        ArrayError: when the pictures are too few to learn a whitening on, or all alike.
        ModelError: when activations are negative or not finite.
    """
    work = _Work(dataset, activations, plan, progress or Silent())
    learnt = work.whitenings()
    seen = work.described("pictures", [_Wanted(path, None) for path in dataset.images], learnt.rows)
    if not seen.kept:
        raise NoImagesError(f"{dataset.root}: not one of {counted(len(dataset.images), 'picture')} can be used")
    lost = set(range(len(dataset.images))) - set(seen.kept)
    left = without_images(dataset, lost)
    apart = [query for query in left.queries if _is_apart(query)]
    asked = work.described("queries", [_Wanted(query.picture, query.box) for query in apart], learnt.rows)
    failed = {apart[at].name for at in set(range(len(apart))) - set(asked.kept)}
    left = without_queries(left, failed)
    places = {apart[at].name: row for row, at in enumerate(asked.kept)}
    scores = list[QueryScore]()
    used = iter(plan.used())
    for images, queries in zip(seen.vectors, asked.vectors, strict=True):
        wanted = _queries(left.queries, places, queries, images)
        for how in plan.rerank:
            scores += score_rankings(left, rankings(how, wanted, images), next(used).name)
    return RetrievalFigures(
        dataset=shown(dataset.name),
        images=len(left.images),
        protocols=left.protocols,
        systems=plan.used(),
        fingerprint=activations.fingerprint.to_dict(),
        device=activations.device,
        scores=tuple(scores),
        failures=tuple(dict.fromkeys((*learnt.failures, *seen.failures, *asked.failures))),
        notes=(*left.notes, *learnt.notes),
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A picture, or a part of one."""

    path: Path
    box: Box | None


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    """The whitening of each row of the table, None where there is none; what could not be read, and what to say."""

    rows: tuple[tuple[Whitening | None, ...], ...]
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Described:
    """The vectors of pictures by each descriptor, and which pictures they are of."""

    vectors: list[Vectors]
    kept: list[int]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    dataset: RetrievalSet
    activations: Activations
    plan: RetrievalPlan
    progress: Progress

    def whitenings(self) -> _Learnt:
        """Of every system, from the parts of other pictures."""
        folder = self.plan.whiten
        if folder is None:
            return _Learnt(((None,),) * len(self.plan.systems))
        root = root_of(folder)
        paths = [root / path for path in walk_pictures(folder)]
        self._check_others(paths)
        rows: list[list[Floats]] = [[] for _ in self.plan.systems]
        failures = []
        self.progress.start("whitening", len(paths))
        wanted = [_Wanted(path, None) for path in paths]
        for part in in_parts(wanted, self._read, self._learnable, self.activations.workers, self.progress):
            for one in (one for batch in part.made for one in batch):
                for kept, vectors in zip(rows, one, strict=True):
                    kept.append(vectors)
            failures += [Failure(_named(one.path, root), error.reason) for one, error in part.failures]
        if len(failures) == len(paths):
            raise NoImagesError(f"{folder}: not one of {counted(len(paths), 'picture')} can be used for a whitening")
        return self._learnt(rows, len(paths) - len(failures), failures)

    def _learnt(self, rows: list[list[Floats]], pictures: int, failures: list[Failure]) -> _Learnt:
        made, notes = list[tuple[Whitening | None, ...]](), [f"whitenings learnt on {counted(pictures, 'picture')}"]
        for system, vectors in zip(self.plan.systems, rows, strict=True):
            parts = np.concatenate(vectors)
            vectors.clear()
            full = {shrinkage: _whitening(system.name, parts, shrinkage) for shrinkage in self.plan.shrinkages}
            made.append((None, *(_first(full[shrinkage], kept) for shrinkage, kept in self.plan.whitenings)))
            vary = next(iter(full.values())).dimensions
            if more := [kept for kept in self.plan.dimensions if kept and kept > vary]:
                notes.append(f"{system.name}: {vary} dimensions vary, and {more[0]} were asked for")
        return _Learnt(tuple(made), tuple(failures), tuple(notes))

    def described(
        self, stage: str, wanted: Sequence[_Wanted], whitenings: Sequence[Sequence[Whitening | None]]
    ) -> _Described:
        """The vectors of pictures by every descriptor."""

        def work(batch: Batch[int]) -> list[tuple[int, list[tuple[Floats, Floats]]]]:
            return [(at, self._vectors(picture, whitenings)) for at, picture in batch]

        self.progress.start(stage, len(wanted))
        rows: list[list[tuple[Floats, Floats]]] = [[] for _ in self.plan.described()]
        kept, failures = list[int](), list[Failure]()
        places = range(len(wanted))
        for part in in_parts(places, lambda at: self._read(wanted[at]), work, self.activations.workers, self.progress):
            for at, vectors in (one for batch in part.made for one in batch):
                kept.append(at)
                for row, vector in zip(rows, vectors, strict=True):
                    row.append(vector)
            failures += [Failure(self._relative(wanted[at].path), error.reason) for at, error in part.failures]
        return _Described([self._stacked(row) for row in rows], kept, tuple(failures))

    def _vectors(
        self, picture: Picture, whitenings: Sequence[Sequence[Whitening | None]]
    ) -> list[tuple[Floats, Floats]]:
        """Of the whole and, where they are wanted, of its parts, by every descriptor."""
        none = np.zeros((0, 1), np.float32)
        each = zip(self._parts(picture), whitenings, strict=True)
        return [
            (whole_vector(parts, whitening), own_parts(parts, whitening)[1] if self.plan.by_regions else none)
            for parts, several in each
            for whitening in several
        ]

    def _stacked(self, row: Sequence[tuple[Floats, Floats]]) -> Vectors:
        whole = np.stack([one for one, _ in row]) if row else np.zeros((0, 1), np.float32)
        return Vectors(whole, [parts for _, parts in row] if self.plan.by_regions else [])

    def _learnable(self, batch: Batch[_Wanted]) -> list[list[Floats]]:
        return [[learnable(parts) for parts in self._parts(picture)] for _, picture in batch]

    def _parts(self, picture: Picture) -> list[list[Parts]]:
        """Of each system, at each size; the network runs once a size."""
        found: list[list[Parts]] = [[] for _ in self.plan.systems]
        settings = self.plan.systems[0].settings
        for pixels in at_scales(picture.pixels, settings.scales):
            X, size = activations_for(pixels, self.activations, settings), Grid(*pixels.shape[:2])
            for parts, system in zip(found, self.plan.systems, strict=True):
                parts.append(parts_of(X, size, system.settings))
        return found

    def _read(self, wanted: _Wanted) -> Picture:
        return read_as_described(wanted.path, wanted.box, self.plan.systems[0].settings)

    def _relative(self, path: Path) -> str:
        return printable(path.relative_to(self.dataset.root) if path.is_relative_to(self.dataset.root) else path)

    def _check_others(self, paths: Sequence[Path]) -> None:
        """Raises UsageError where a whitening would know what is searched."""
        own = {path.resolve() for path in (*self.dataset.images, *(one.picture for one in self.dataset.queries))}
        if same := [path for path in paths if path.resolve() in own]:
            raise UsageError(
                f"--whiten {self.plan.whiten}: {same[0]} is a picture of the set; a whitening is learnt on others than "
                "are searched"
            )


def _is_apart(query: RetrievalQuery) -> bool:
    """Whether a query is something else than one of the pictures."""
    return query.index is None or query.box is not None


def _whitening(name: str, vectors: Floats, shrinkage: float) -> Whitening:
    try:
        return learn_whitening(vectors, shrinkage=shrinkage)
    except ArrayError as error:
        raise ArrayError(f"{name}: {error}; give more pictures with --whiten") from error


def _first(full: Whitening, dimensions: int | None) -> Whitening:
    """The directions that vary most."""
    return Whitening(full.mean, full.projection[:dimensions, :])


def _named(path: Path, root: Path) -> str:
    return printable(Path(root.resolve().name) / path.relative_to(root))


def _queries(wanted: Sequence[RetrievalQuery], places: Mapping[str, int], apart: Vectors, images: Vectors) -> Vectors:
    """The vectors of queries: their own, or those of the pictures that they are."""
    which = [(apart, places[one.name]) if _is_apart(one) else (images, one.index or 0) for one in wanted]
    parts = [of.parts[at] for of, at in which] if images.parts else []
    return Vectors(np.stack([of.whole[at] for of, at in which]), parts)
