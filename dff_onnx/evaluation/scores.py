"""What an evaluation keeps of every picture: counts, from which each figure can be taken again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dff_onnx.report.found import Failure

Kind = Literal["coseg", "corloc"]
Metric = Literal["iou", "corloc"]
TITLES: Mapping[Metric, str] = {
    "iou": "IoU, summed over a group and divided once",
    "corloc": "CorLoc: share of pictures whose box has an IoU above 0.5",
}


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One picture under one system.

    Attributes:
        system, group: their names.
        path: relative to the data set, with slashes, as text any format takes.
        truth: how much there is to find: pixels of the mask, or boxes where only boxes are known. Equal in two runs on
            the same data.
        inter, union: pixels, void left out; None where only boxes are known.
        hit: whether the box is found; None where there is none to find.
    """

    system: str
    group: str
    path: str
    truth: int
    inter: int | None
    union: int | None
    hit: bool | None

    @property
    def key(self) -> tuple[str, str]:
        """What it is the score of."""
        return self.group, self.path

    def ratio(self, metric: Metric) -> tuple[int, int] | None:
        """Numerator and denominator of a metric; None where the picture does not count in it.

        >>> ImageScore("plain", "cats", "a.jpg", 9, 3, 12, True).ratio("iou")
        (3, 12)
        """
        if metric == "corloc":
            return None if self.hit is None else (int(self.hit), 1)
        return None if self.inter is None or self.union is None else (self.inter, self.union)


@dataclass(frozen=True, slots=True)
class SystemUsed:
    """A system with its settings as `run.toml` has them."""

    name: str
    title: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GroupClass:
    """The class whose maps one system took in one group.

    Attributes:
        system, group: their names.
        number, name: of the class.
        votes: pictures that show it before any other.
        pictures: that voted.
        probability: of the class, mean over all of them.
    """

    system: str
    group: str
    number: int
    name: str
    votes: int
    pictures: int
    probability: float


@dataclass(frozen=True, slots=True)
class Figures:
    """An evaluation of one map a picture.

    Attributes:
        kind: of the evaluation.
        dataset: its name.
        groups: in the order of the data set; those that have a usable picture.
        systems: that were evaluated, in order.
        fingerprint: of the backbone.
        device: the network really ran on.
        scores: system by system in the same order of pictures.
        failures: pictures that could not be used.
        notes: sentences on what was left out.
        classes: of the groups, for the systems that make class maps.
    """

    kind: Kind
    dataset: str
    groups: tuple[str, ...]
    systems: tuple[SystemUsed, ...]
    fingerprint: Mapping[str, Any]
    device: str
    scores: tuple[ImageScore, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    classes: tuple[GroupClass, ...] = ()

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those that the kind has."""
        return ("iou", "corloc") if self.kind == "coseg" else ("corloc",)

    def of(self, system: str) -> list[ImageScore]:
        """The scores of one system."""
        return [score for score in self.scores if score.system == system]

    @property
    def class_tables(self) -> dict[tuple[str, ...], tuple[GroupClass, ...]]:
        """The classes of the groups by the systems that took them, systems of equal votes together."""
        takers: dict[tuple[GroupClass, ...], list[str]] = {}
        for name in dict.fromkeys(one.system for one in self.classes):
            taken = tuple(replace(one, system="") for one in self.classes if one.system == name)
            takers.setdefault(taken, []).append(name)
        return {tuple(names): taken for taken, names in takers.items()}

    @property
    def pictures(self) -> int:
        """How often a picture was scored: once for each group it is in."""
        return len(self.of(self.systems[0].name)) if self.systems else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The pictures of one system that count in one metric, as `metrics` takes them.

    Attributes:
        above, below: what is summed and divided.
        groups: of the pictures.
    """

    above: tuple[int, ...]
    below: tuple[int, ...]
    groups: tuple[str, ...]


def sample(scores: Sequence[ImageScore], metric: Metric) -> Sample:
    """The pictures that count in a metric."""
    there = [(score.group, ratio) for score in scores if (ratio := score.ratio(metric)) is not None]
    return Sample(
        tuple(ratio[0] for _, ratio in there), tuple(ratio[1] for _, ratio in there), tuple(group for group, _ in there)
    )
