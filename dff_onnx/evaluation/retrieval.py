"""Retrieval sets searched with every kind of descriptor: the network looks at each picture once, for all of them.

A whitening is learnt on other pictures than are searched. What stays in memory are vectors: of the set, one for each
row of the table; before that, the parts of the pictures that whitenings are learnt on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
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
from dff_onnx.runs.gather import Block, Gathered, gathering
from dff_onnx.runs.keep import Keep, arrays_sha256, below, boxes_sha256, keep_in
from dff_onnx.runs.packed import packed, unpacked
from dff_onnx.runs.parts import Batch

Floats = NDArray[np.float32]


def evaluate_retrieval(
    dataset: RetrievalSet,
    activations: Activations,
    plan: RetrievalPlan,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> RetrievalFigures:
    """Describes all pictures and queries, and ranks all pictures for each query.

    A query that is one of the pictures, and all of it, has that picture's vector. One with a box is cut out first, see
    `read_as_described`.

    Args:
        dataset: what should be found.
        activations: the network.
        plan: what is compared.
        progress: follows the pictures.
        resume: a folder for it alone, where vectors are kept for an evaluation that may be killed; None for none.

    Raises:
        UsageError: when a picture of the set is among those that a whitening would be learnt on.
        NoImagesError: when not one picture of the set, or to learn a whitening on, can be used.
        DatasetError: when no query is left.
        ArrayError: when the pictures are too few to learn a whitening on, or all alike.
        ModelError: when activations are negative or not finite.
        OutputError: when vectors cannot be kept.
    """
    keep = keep_in(resume, dataset.root, activations) if resume else None
    work = _Work(dataset, activations, plan, progress or Silent(), keep)
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
    keep: Keep | None

    def whitenings(self) -> _Learnt:
        """Of every system, from the parts of other pictures."""
        folder = self.plan.whiten
        if folder is None:
            return _Learnt(((None,),) * len(self.plan.systems))
        root = root_of(folder)
        paths = [root / path for path in walk_pictures(folder)]
        self._check_others(paths)
        of = {"systems": [[one.settings.kind, one.settings.to_dict()] for one in self.plan.systems]}
        wanted = [_Wanted(path, None) for path in paths]
        each, rows = self._gathered("whitening", wanted, lambda picture: list(map(learnable, self._parts(picture))), of)
        failures = [Failure(_named(paths[place], root), error.reason) for place, error in rows.failed.items()]
        if not each:
            raise NoImagesError(f"{folder}: not one of {counted(len(paths), 'picture')} can be used for a whitening")
        return self._learnt(each, failures)

    def _learnt(self, each: Sequence[Sequence[Floats]], failures: list[Failure]) -> _Learnt:
        made, notes = list[tuple[Whitening | None, ...]](), [f"whitenings learnt on {counted(len(each), 'picture')}"]
        for number, system in enumerate(self.plan.systems):
            parts = np.concatenate([one[number] for one in each])
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
        learnt = [matrix for several in whitenings for one in several if one for matrix in (one.mean, one.projection)]
        of = {
            "systems": [asdict(one) for one in self.plan.described()],
            "whitenings": arrays_sha256(*learnt),
            "regions": self.plan.by_regions,
            "boxes": boxes_sha256(one.box for one in wanted),
        }
        each, rows = self._gathered(stage, wanted, lambda picture: self._vectors(picture, whitenings), of)
        vectors = [self._stacked(each, number) for number in range(len(self.plan.described()))]
        failures = (Failure(self._relative(wanted[at].path), error.reason) for at, error in rows.failed.items())
        return _Described(vectors, rows.places, tuple(failures))

    def _gathered(
        self, stage: str, wanted: Sequence[_Wanted], made: Callable[[Picture], list[Floats]], of: Mapping[str, Any]
    ) -> tuple[list[list[Floats]], Gathered]:
        """What is made of each picture that can be read."""

        def work(batch: Batch[int]) -> Block:
            return packed([made(picture) for _, picture in batch])

        self.progress.start(stage, len(wanted))
        paths = [below(one.path, self.dataset.root) for one in wanted]
        with single_threaded_blas(), gathering(self.dataset.root, paths, self.keep, stage, of) as rows:
            rows.fill(lambda at: self._read(wanted[at]), work, self.activations.workers, self.progress)
            return unpacked(rows), rows

    def _vectors(self, picture: Picture, whitenings: Sequence[Sequence[Whitening | None]]) -> list[Floats]:
        """Of the whole and, where they are wanted, of its parts, by every descriptor."""
        found = list[Floats]()
        for parts, several in zip(self._parts(picture), whitenings, strict=True):
            for whitening in several:
                found.append(whole_vector(parts, whitening))
                found += [own_parts(parts, whitening)[1]] if self.plan.by_regions else []
        return found

    def _stacked(self, each: Sequence[Sequence[Floats]], number: int) -> Vectors:
        """The vectors of one descriptor."""
        own = 2 * number if self.plan.by_regions else number
        whole = np.stack([one[own] for one in each]) if each else np.zeros((0, 1), np.float32)
        return Vectors(whole, [one[own + 1] for one in each] if self.plan.by_regions else [])

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
        with single_threaded_blas():
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
