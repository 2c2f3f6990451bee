"""One map a picture against what is known of it: co-segmentation (IoU, CorLoc) and localization (CorLoc alone)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets import Annotated, Group, Truth
from dff_onnx.datasets.class_names import names_for
from dff_onnx.datasets.dataset import counted
from dff_onnx.errors import DatasetError, NoImagesError
from dff_onnx.evaluation.gathered import Gathered, gather
from dff_onnx.evaluation.group_classes import Voted, check_head, voted
from dff_onnx.evaluation.located import Located, by_class, by_concept
from dff_onnx.evaluation.opening import Opened
from dff_onnx.evaluation.scores import Figures, GroupClass, ImageScore, Kind, SystemUsed
from dff_onnx.evaluation.systems import ClassSettings, System
from dff_onnx.files import printable
from dff_onnx.images import Resize
from dff_onnx.metrics import localized, mask_counts
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Grid
from dff_onnx.report.found import Failure
from dff_onnx.report.names import shown
from dff_onnx.runs.discover import discover_in
from dff_onnx.runs.keep import keep_in
from dff_onnx.runs.seen import Seen


def evaluate(
    opened: Opened,
    activations: Activations,
    systems: Sequence[System],
    kind: Kind,
    progress: Progress | None = None,
    resume: Path | None = None,
) -> Figures:
    """Scores systems on a data set, group by group.

    The network runs once for each group and size, whatever the number of systems. A picture that is in several groups
    (VOC) goes through it once for each: that keeps no more than one group's activations in memory.

    Args:
        opened: the data set.
        activations: the network.
        systems: what is compared: their first concept is scored, or the class that most pictures of a group show.
        kind: `coseg`: masks, IoU and CorLoc against the tight box around the mask. `corloc`: boxes; around the mask
            where no boxes are known.
        progress: follows the pictures.
        resume: a folder for it alone, where activations are kept for an evaluation that may be killed; None for none.

    Raises:
        UsageError: when a system makes class maps, and no head looks at these activations.
        NoImagesError: when not one picture can be used.
        DatasetError: when a mask cannot be read, or nothing is known of a picture.
        ModelError: when the network's activations cannot be factorized.
        OutputError: when activations cannot be kept.
    """
    check_head(activations, systems)
    work = _Work(opened, activations, tuple(systems), kind, progress or Silent(), resume)
    sizes = len({system.settings.resize for system in systems})
    work.progress.start("evaluating", sizes * sum(len(group.pictures) for group in opened.dataset.groups))
    for number, group in enumerate(opened.dataset.groups):
        work.score(group, number)
    if not work.groups:
        first = work.failures[0]
        raise NoImagesError(
            f"{opened.root}: not one of {counted(len(work.failures), 'picture')} can be used; the first: {first.path}: "
            f"{first.reason}"
        )
    return Figures(
        kind=kind,
        dataset=shown(opened.dataset.name),
        groups=tuple(work.groups),
        systems=used_systems(systems),
        fingerprint=activations.fingerprint.to_dict(),
        device=activations.device,
        scores=tuple(score for one in systems for score in work.scores[one.name]),
        failures=tuple(work.failures),
        notes=(*map(shown, opened.dataset.notes), *work.notes()),
        classes=tuple(one for system in systems for one in work.classes if one.system == system.name),
    )


def used_systems(systems: Sequence[System]) -> tuple[SystemUsed, ...]:
    """Systems as files have them."""
    return tuple(SystemUsed(one.name, one.title, one.settings.to_dict()) for one in systems)


@dataclass
class _Work:
    """What was scored so far."""

    opened: Opened
    activations: Activations
    systems: tuple[System, ...]
    kind: Kind
    progress: Progress
    resume: Path | None = None
    groups: list[str] = field(default_factory=list)
    scores: dict[str, list[ImageScore]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    classes: list[GroupClass] = field(default_factory=list)

    def score(self, group: Group, number: int) -> None:
        """Takes one group, the one with this number."""
        root, keep = self.opened.root, None
        if self.resume:
            keep = keep_in(self.resume, root, self.activations, prefix=f"{number}-")
        gathered: dict[Resize, Gathered | None] = {}
        asked: dict[Resize, Voted] = {}
        found: dict[str, Located] = {}
        for system in self.systems:
            resize = system.settings.resize
            if resize not in gathered:
                gathered[resize], failures = gather(group, root, self.activations, resize, self.progress, keep)
                self.failures += [failure for failure in failures if failure not in self.failures]
            one = gathered[resize]
            if one is None:
                return
            found[system.name] = self._located(system, one, asked)
        self.groups.append(shown(group.name))
        self._take_classes(shown(group.name), found)
        # Which pictures can be read does not depend on their size, so any system's list will do.
        first = gathered[self.systems[0].settings.resize]
        for index, (known, seen) in enumerate(zip(first.annotated, first.rows.seen, strict=True) if first else ()):
            self._score(shown(group.name), index, known, seen, found)

    def _located(self, system: System, one: Gathered, asked: dict[Resize, Voted]) -> Located:
        """What a system finds in a group; the classifier is asked once, whatever the number of systems."""
        settings, head = system.settings, self.activations.head
        if not isinstance(settings, ClassSettings):
            return by_concept(discover_in(one.rows, self.opened.root, self.activations, settings))
        if head is not None and settings.resize not in asked:
            asked[settings.resize] = voted(one.rows, head)
        return by_class(asked[settings.resize], one.rows, settings)

    def _take_classes(self, group: str, found: dict[str, Located]) -> None:
        for system, located in found.items():
            if (vote := located.vote) is not None and self.activations.head is not None:
                name = names_for(self.activations.head.classes).names[vote.number]
                self.classes.append(
                    GroupClass(system, group, vote.number, name, vote.votes, vote.pictures, vote.probability)
                )

    def _score(self, group: str, index: int, known: Annotated, seen: Seen, found: dict[str, Located]) -> None:
        """One picture under all systems; its mask is read once."""
        size = seen.original
        check_size(known, size)
        truth = known.mask.read(size) if known.mask and (self.kind == "coseg" or not known.boxes) else None
        if truth is None and self.kind == "coseg":
            raise DatasetError(f"{known.picture}: has no mask in {self.opened.dataset.name}; add it")
        for name, located in found.items():
            score = _scored(name, group, printable(seen.path), located, index, known, truth, self.kind)
            self.scores.setdefault(name, []).append(score)

    def notes(self) -> list[str]:
        """What the user should know of the scores."""
        none = sum(score.hit is None for score in self.scores[self.systems[0].name])
        if not none:
            return []
        if self.kind == "corloc":
            return [f"{counted(none, 'picture')} without a box: not counted"]
        return [f"{counted(none, 'picture')} with an empty mask: counted in IoU, not in CorLoc"]


def _scored(
    system: str,
    group: str,
    path: str,
    found: Located,
    index: int,
    known: Annotated,
    truth: Truth | None,
    kind: Kind,
) -> ImageScore:
    around = truth.box() if truth else None
    boxes = known.boxes if truth is None else (around,) if around else ()
    hit = localized(found.boxes[index], boxes) if boxes else None
    if kind == "corloc" or truth is None:
        return ImageScore(system, group, path, len(boxes), None, None, hit)
    counts = mask_counts(found.mask(index), truth.on, truth.void)
    return ImageScore(system, group, path, int(truth.on.sum()), counts.inter, counts.union, hit)


def check_size(known: Annotated, size: Grid) -> None:
    """Refuses an annotation that was made for a picture of another size."""
    if known.size is not None and known.size != size:
        raise DatasetError(
            f"{known.picture}: has {size.width}x{size.height} pixels, and its annotation says "
            f"{known.size.width}x{known.size.height}; fetch the picture again, or correct its annotation"
        )
