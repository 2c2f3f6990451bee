"""Two evaluations of one data set, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from dff_onnx.datasets.dataset import counted
from dff_onnx.differences import SHORT, Difference, differences
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.evaluation.scores import TITLES, ImageScore, Metric, sample
from dff_onnx.evaluation.stored import Stored
from dff_onnx.evaluation.table import interval_of, p_value
from dff_onnx.evaluation.text import WIDTH, number, p_text
from dff_onnx.files import printable
from dff_onnx.metrics import Interval
from dff_onnx.report.names import fitted, shown


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of one system in A and one in B, on the pictures that both have.

    Attributes:
        metric: which.
        system_a, system_b: their names.
        images: how many count.
        a, b: the means over groups with their intervals.
        p: how often chance alone sets them as far apart.
    """

    metric: Metric
    system_a: str
    system_b: str
    images: int
    a: Interval
    b: Interval
    p: float

    @property
    def difference(self) -> float:
        """B minus A."""
        return self.b.estimate - self.a.estimate

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"difference": self.difference}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that can be compared.

    Attributes:
        dataset: of both.
        files: that are compared.
        differences: of their networks and of the systems that are compared.
        common: pictures that both have; a picture of two groups counts twice.
        only_a, only_b: pictures of one alone, left out.
        results: for each pair of systems and metric.
    """

    dataset: str
    files: tuple[str, str]
    differences: tuple[Difference, ...]
    common: int
    only_a: int
    only_b: int
    results: tuple[Compared, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "results": [one.to_dict() for one in self.results]}


def compare(a: Stored, b: Stored, system: str | None = None) -> Comparison:
    """Compares two runs on the pictures that both have.

    Args:
        a, b: of one data set.
        system: to take in both; None: all that both have, or the only one of each.

    Raises:
        RefusedError: when the data sets differ, or no picture is in both.
        UsageError: when there is no such system, or it is not clear which are meant.
    """
    check_same_dataset(a, b)
    pairs = pairs_of(a, b, system)
    results: list[Compared] = []
    for one, other in pairs:
        mine, theirs = _paired(a, one, b, other)
        results += _results(one, other, mine, theirs)
    keys_a, keys_b = ({score.key for score in stored.scores} for stored in (a, b))
    return Comparison(
        dataset=a.dataset,
        files=(shown(printable(a.path)), shown(printable(b.path))),
        differences=tuple(differences_of(a, b, pairs)),
        common=len(keys_a & keys_b),
        only_a=len(keys_a - keys_b),
        only_b=len(keys_b - keys_a),
        results=tuple(results),
    )


class _Named(Protocol):
    """A file of figures with systems."""

    @property
    def path(self) -> Path: ...

    @property
    def dataset(self) -> str: ...

    @property
    def systems(self) -> tuple[str, ...]: ...

    @property
    def fingerprint(self) -> Mapping[str, Any]: ...

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]: ...


def check_same_dataset(a: _Named, b: _Named) -> None:
    """Raises RefusedError for figures of two data sets."""
    if a.dataset != b.dataset:
        raise RefusedError(f"{a.path} is of {a.dataset!r} and {b.path} of {b.dataset!r}; two runs on one are needed")


def differences_of(a: _Named, b: _Named, pairs: Sequence[tuple[str, str]]) -> list[Difference]:
    """Of the networks, then of the systems."""
    found = differences(a.fingerprint, b.fingerprint)
    for one, other in pairs:
        name = one if one == other else f"{one}/{other}"
        found += differences({name: a.settings.get(one, {})}, {name: b.settings.get(other, {})})
    return found


def pairs_of(a: _Named, b: _Named, system: str | None) -> list[tuple[str, str]]:
    """The systems to compare: the one that is named, those that both have, or the only one of each.

    Raises:
        UsageError: when there is no such system, or it is not clear which are meant.
    """
    if system is not None:
        for stored in (a, b):
            if system not in stored.systems:
                raise UsageError(f"--system: {stored.path} has no {system!r}; it has {', '.join(stored.systems)}")
        return [(system, system)]
    if shared := [(name, name) for name in a.systems if name in b.systems]:
        return shared
    if len(a.systems) == len(b.systems) == 1:
        return [(a.systems[0], b.systems[0])]
    raise UsageError(f"{a.path} and {b.path} share no system: {', '.join(a.systems)} and {', '.join(b.systems)}")


def _paired(a: Stored, one: str, b: Stored, other: str) -> tuple[list[ImageScore], list[ImageScore]]:
    """The scores of the pictures that both have, in the order of A."""
    mine = {score.key: score for score in a.scores if score.system == one}
    theirs = {score.key: score for score in b.scores if score.system == other}
    keys = [key for key in mine if key in theirs]
    if not keys:
        raise RefusedError(f"{a.path} and {b.path}: have no picture in common under {one} and {other}")
    if a.kind == b.kind:
        _check_truths(a, b, [(mine[key], theirs[key]) for key in keys])
    return [mine[key] for key in keys], [theirs[key] for key in keys]


def _check_truths(a: Stored, b: Stored, pairs: Sequence[tuple[ImageScore, ImageScore]]) -> None:
    """Two sets may share a name; what there is to find gives them away."""
    for mine, theirs in pairs:
        if mine.truth != theirs.truth:
            raise RefusedError(
                f"{a.path} and {b.path}: were scored against other annotations: {mine.path} has {mine.truth} pixels or "
                f"boxes to find in one and {theirs.truth} in the other"
            )


def _results(one: str, other: str, mine: Sequence[ImageScore], theirs: Sequence[ImageScore]) -> list[Compared]:
    found = []
    for metric in TITLES:
        both = [
            (a, b)
            for a, b in zip(mine, theirs, strict=True)
            if a.ratio(metric) is not None and b.ratio(metric) is not None
        ]
        a, b = [a for a, _ in both], [b for _, b in both]
        first, second = interval_of(a, metric), interval_of(b, metric)
        if first and second:
            images = len(sample(a, metric).groups)
            found.append(Compared(metric, one, other, images, first, second, p_value(a, b, metric)))
    return found


def comparison_text(compared: Comparison) -> str:
    """For a terminal."""
    lines = [f"{mark:<7} {path}" for mark, path in zip(("first", "second"), compared.files, strict=True)]
    lines += [fitted(f"  {one.told('{} and {}', SHORT)}", WIDTH).rstrip() for one in compared.differences]
    lines += ["", f"{compared.dataset}: {counted(compared.common, 'picture')} in both"]
    if compared.only_a or compared.only_b:
        lines[-1] += f"; left out: {compared.only_a} only in the first, {compared.only_b} only in the second"
    for one in compared.results:
        lines += ["", f"{TITLES[one.metric]} ({counted(one.images, 'picture')})"]
        for mark, name, figure in (("first ", one.system_a, one.a), ("second", one.system_b, one.b)):
            bounds = f"{number(figure.low)} to {number(figure.high)}"
            lines.append(f"  {mark} {fitted(name, 16)} {number(figure.estimate)} ({bounds})")
        lines.append(f"  difference {one.difference:+.3f}, p {p_text(one.p)}")
    return "\n".join(lines)
