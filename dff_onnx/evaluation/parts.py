"""Concepts against annotated parts: quality by k and layer (DFF, fig. 4), and what each concept turned out to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets import Group
from dff_onnx.errors import DatasetError, DffError, NoImagesError, RefusedError, UsageError
from dff_onnx.evaluation.gathered import Gathered, gather
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.part_scores import ConceptInPicture, ConceptScore, How, LayerUsed, PartFigures, Trial
from dff_onnx.evaluation.part_truths import GroupParts, read_group_parts
from dff_onnx.files import printable
from dff_onnx.metrics import Counts, PartCounts, agreement, assigned, labelled, part_counts, union_counts
from dff_onnx.metrics.coverage import Assignment
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Failure
from dff_onnx.report.labels_file import read_labels
from dff_onnx.report.names import shown
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.keep import keep_in
from dff_onnx.runs.settings import Settings

OpenLayer = Callable[[str | None], Activations]


@dataclass(frozen=True, slots=True)
class PartPlan:
    """What is tried.

    Attributes:
        ks: numbers of concepts.
        seeds: of the factorization; parts are assigned with the first.
        layers: their names; None: what the model says.
        settings: all others.
        labels: a file with the parts that a person gave to each concept.
    """

    ks: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    layers: tuple[str | None, ...] = (None,)
    settings: Settings = field(default_factory=Settings)
    labels: Path | None = None

    def __post_init__(self) -> None:
        for name, values in (("k", self.ks), ("seeds", self.seeds), ("layers", self.layers)):
            if not values or len(set(values)) != len(values):
                raise UsageError(f"{name}: each once is needed, at least one; found {', '.join(map(str, values))}")
        if self.labels and len(self.ks) * len(self.layers) > 1:
            raise UsageError("--labels: names belong to one factorization; give one k and one layer")

    def shared_settings(self) -> dict[str, Any]:
        """Those of every factorization, as `run.toml` has them."""
        return {key: value for key, value in self.settings.to_dict().items() if key not in ("k", "seed")}


def evaluate_parts(
    opened: Opened,
    open_layer: OpenLayer,
    plan: PartPlan,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> PartFigures:
    """Scores concepts on annotated parts.

    The network runs once for each layer and group. A group without part masks has one part, its whole objects.

    Args:
        opened: the data set.
        open_layer: from a layer's name to a backbone that ends there.
        plan: what is tried.
        progress: follows the pictures.
        resume: a folder for it alone, where activations are kept for an evaluation that may be killed; None for none.

    Raises:
        UsageError: when labels are for several groups, or k is impossible.
        RefusedError: when labels name a concept or part that is not there.
        NoImagesError: when not one picture can be used.
        DatasetError: when a mask cannot be read.
        OutputError: when activations cannot be kept.
    """
    groups = opened.dataset.groups
    if plan.labels and len(groups) > 1:
        raise UsageError("--labels: names belong to one factorization; choose one group with --groups")
    if plan.labels:
        read_labels(plan.labels, plan.ks[0])  # a mistake there should not cost the network's time
    work = _Work(opened, plan, progress or Silent(), resume)
    work.progress.start("evaluating", len(plan.layers) * sum(len(group.pictures) for group in groups))
    for layer in plan.layers:
        activations = open_layer(layer)
        name = activations.fingerprint.layer
        work.layers.append(LayerUsed(name, activations.fingerprint.to_dict(), activations.device))
        for number, group in enumerate(groups):
            work.score(group, name, activations, f"{len(work.layers)}-{number}-")
    if not work.parts:
        raise _nothing(opened, work.failures)
    return work.figures()


def _nothing(opened: Opened, failures: Sequence[Failure]) -> DffError:
    """Why there is not one figure."""
    if not failures:
        return DatasetError(f"{opened.root}: not one picture has a part or a mask; nothing can be compared")
    first = failures[0]
    return NoImagesError(f"{opened.root}: not one picture can be used; the first: {first.path}: {first.reason}")


@dataclass
class _Work:
    """What was scored so far."""

    opened: Opened
    plan: PartPlan
    progress: Progress
    resume: Path | None = None
    layers: list[LayerUsed] = field(default_factory=list)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    concepts: list[ConceptScore] = field(default_factory=list)
    images: list[ConceptInPicture] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def score(self, group: Group, layer: str, activations: Activations, prefix: str) -> None:
        """One group at one layer; what is kept of it has names that begin so."""
        root, resize = self.opened.root, self.plan.settings.resize
        keep = keep_in(self.resume, root, activations, prefix=prefix) if self.resume else None
        gathered, failures = gather(group, root, activations, resize, self.progress, keep)
        self.failures += [failure for failure in failures if failure not in self.failures]
        if gathered is None:
            return
        name = shown(group.name)
        truths = read_group_parts(name, gathered.annotated, [seen.original for seen in gathered.rows.seen])
        self.notes += [note for note in truths.notes if note not in self.notes]
        if not truths.names:
            return
        self.parts[name] = truths.names
        for k in self.plan.ks:
            self._tried(_Place(layer, name, k), gathered, truths, activations)

    def _tried(self, place: _Place, gathered: Gathered, truths: GroupParts, activations: Activations) -> None:
        """All seeds of one k; the first also against the parts that its concepts are given."""
        for seed in self.plan.seeds:
            settings = replace(self.plan.settings, k=place.k, seed=seed)
            found = discover_in(gathered.rows, self.opened.root, activations, settings)
            counts = _counts(found, truths)
            self.trials.append(Trial(place.layer, place.group, place.k, seed, counts))
            if seed == self.plan.seeds[0]:
                self._given(place, "coverage", assigned(counts), found, truths)
                if self.plan.labels:
                    given = assignment_of(self.plan.labels, truths.names, place.k)
                    self._given(place, "labels", given, found, truths)

    def _given(self, place: _Place, how: How, given: Assignment, found: Discovery, truths: GroupParts) -> None:
        """The second pass: each concept against the union of its parts."""
        unions = _unions(found, truths, given)
        scored = agreement([counts for _, counts in unions])
        for concept, mine in enumerate(given):
            names = tuple(truths.names[part] for part in mine)
            wide, single = scored.dataset_wide[concept], scored.per_image[concept]
            self.concepts.append(ConceptScore(place.layer, place.group, place.k, concept, how, names, wide, single))
            self.images += [
                ConceptInPicture(place.layer, place.group, place.k, concept, how, path, one.inter, one.union)
                for path, counts in unions
                if (one := counts[concept]) is not None
            ]

    def figures(self) -> PartFigures:
        """All of it."""
        return PartFigures(
            dataset=shown(self.opened.dataset.name),
            layers=tuple(self.layers),
            groups=tuple(self.parts),
            parts=self.parts,
            ks=self.plan.ks,
            seeds=self.plan.seeds,
            settings=self.plan.shared_settings(),
            trials=tuple(self.trials),
            concepts=tuple(self.concepts),
            images=tuple(self.images),
            failures=tuple(self.failures),
            notes=(*map(shown, self.opened.dataset.notes), *self.notes),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the table."""

    layer: str
    group: str
    k: int


def assignment_of(path: Path, names: Sequence[str], k: int) -> Assignment:
    """The parts of each concept by a person's file.

    Raises:
        RefusedError: naming the file, for a concept or a part that is not there.
    """
    parts = read_labels(path, k).parts
    try:
        return labelled(dict(enumerate(parts)), names, k)
    except UsageError as error:
        raise RefusedError(f"{path}: {error}") from error


def _counts(found: Discovery, truths: GroupParts) -> PartCounts:
    each = [
        part_counts(found.masks(index), truth.masks(truths.names), truth.void_mask())
        for index, truth in enumerate(truths.truths)
        if truth is not None
    ]
    return reduce(add, each)


def _unions(found: Discovery, truths: GroupParts, given: Assignment) -> list[tuple[str, Sequence[Counts | None]]]:
    return [
        (
            printable(found.paths[index]),
            union_counts(found.masks(index), truth.masks(truths.names), given, truth.void_mask()),
        )
        for index, truth in enumerate(truths.truths)
        if truth is not None
    ]
