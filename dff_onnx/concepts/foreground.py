"""The object that a set of pictures shares, without any label: one soft map for each picture.

Co-localization by the concept of most energy returns the background as soon as that is stronger. Here a direction in
feature space is learned from a prior alone (`directions`), its maps are sharpened by the pictures' own colours
(`dff_onnx.maps.colour_field`), and a second direction is learned from what came out. That is one *trial*. Trials start
from different priors and sizes; the one whose result holds together best is taken, and how far the others agree says
how sure it is. `docs/foreground.md` has the figures behind every choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.concepts.directions import (
    Moments,
    along,
    border_prior,
    centre_prior,
    covariance_direction,
    moments,
    ridge_direction,
)
from dff_onnx.images import Resize
from dff_onnx.maps import offsets, shrink, upsample
from dff_onnx.maps.colour_field import BINS, Prepared, colour_overlap, colour_shares, prepare, settle
from dff_onnx.maps.crf import CERTAIN
from dff_onnx.maps.levels import to_levels
from dff_onnx.maps.otsu import three_classes, two_classes
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.records import Grid
from dff_onnx.threads import available_cores, in_order

T = TypeVar("T")
R = TypeVar("R")
Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
Prior = Literal["centre", "border"]
Sure = Literal["low", "medium", "high"]

CENTRE, BORDER = 0.5, 0.3  # widths of the priors
RIDGE = 32.0
LOOKS = 4  # at the colours, in each refinement
SAMPLED = 64  # cells a side at which thresholds are found
# Two classes explain 2/pi of the variance of normally distributed values: below that there are no two classes, and the
# upper threshold of three is taken. The change is gradual up to the second figure.
ONE_CLASS, TWO_CLASSES = 2 / math.pi, 0.68
# What holds most of the pictures' borders is the surroundings: then the other side is the foreground.
MOST_CONTACT = 0.5
# A picture of which more is foreground shows no surroundings.
MOST_SHARE = 0.95
# A trial at another size must be that much better: it sees less, and its figures are smoother.
MARGIN = 0.3
# Pictures that are prepared once for all looks, some 3 MB each; of a larger set, the rest are prepared for each look.
KEPT = 256


@dataclass(frozen=True, slots=True)
class View:
    """The pictures as the network saw them at one size.

    Attributes:
        A: `(N, c)` activations, `>= 0`.
        grids: of the pictures, in order.
        resize: how they became so large.
    """

    A: Array
    grids: Sequence[Grid]
    resize: Resize


@dataclass(frozen=True, slots=True, eq=False)
class ForegroundModel:
    """What tells foreground from background in a set, for pictures that come later.

    Attributes:
        direction, mean: `(c,)` float32: a cell's value is `(sqrt(a) - mean) . direction`, in standard deviations of the
            set.
        threshold: of the set.
        upper: 0 where a picture's own two-class threshold counts beside the set's, 1 where the upper one of three does.
        spread: standard deviation of the values over the set; the border of a mask is that soft.
        resize: at which the network saw the pictures.
    """

    direction: Floats
    mean: Floats
    threshold: float
    upper: float
    spread: float
    resize: Resize

    def values(self, A: Array) -> Floats:
        """Of rows `(N, c)`."""
        return along(A, self.mean, self.direction)

    def soft(self, values: Floats, size: Grid) -> Floats:
        """A picture's values `(h, w)` as a soft map of a size, 0..1, 0.5 at the threshold."""
        sampled = upsample(values, SAMPLED, SAMPLED)
        own = (1 - self.upper) * two_classes(sampled).thresholds[0]
        if self.upper > 0:
            own += self.upper * three_classes(sampled).thresholds[1]
        raised = (upsample(values, size.height, size.width) - (self.threshold + own) / 2) / self.spread
        soft: Floats = (1 / (1 + np.exp(-np.clip(raised, -30, 30)))).astype(np.float32)
        return soft


@dataclass(frozen=True, slots=True)
class Trial:
    """How one way of starting ended.

    Attributes:
        view: number of the size.
        prior: it started from.
        bimodality: share of the variance of the maps' values that two classes explain.
        overlap: of the colours inside and outside, 0..1, mean over the pictures.
        halves: correlation of one half of the pictures with a direction learned from the other, mean of both ways.
        contact: share of the pictures' borders that is foreground, mean over the pictures.
    """

    view: int
    prior: Prior
    bimodality: float
    overlap: float
    halves: float
    contact: float

    @property
    def quality(self) -> float:
        """One figure to choose by; `docs/foreground.md` tells where the weights come from."""
        return 3 * self.bimodality + 2 * self.halves - self.overlap - self.contact


@dataclass(frozen=True, slots=True, eq=False)
class Foreground:
    """What was found.

    Attributes:
        maps: `(h, w)` of each picture's working size, 0..255; foreground from 128.
        model: to project other pictures.
        trials: all that were made.
        chosen: the number of the one that was taken.
        agreement: mean IoU of its masks with those of the others, 0..1.
    """

    maps: tuple[Picture, ...]
    model: ForegroundModel
    trials: tuple[Trial, ...]
    chosen: int
    agreement: float

    @property
    def sure(self) -> Sure:
        """`low` where there is a reason for doubt, `high` where all speaks for it; see `docs/foreground.md`."""
        best = self.trials[self.chosen]
        if best.quality < 3.3 or self.agreement < 0.6 or best.contact > 0.4:
            return "low"
        return "high" if best.quality >= 3.6 and self.agreement >= 0.85 and not any(self.unlike) else "medium"

    @property
    def unlike(self) -> tuple[bool, ...]:
        """Of each picture, whether all of it, or nothing, is foreground: it may not belong to the set."""
        shares = [float((one >= 128).mean()) for one in self.maps]
        return tuple(share > MOST_SHARE or share == 0 for share in shares)


class _Pictures:
    """The pictures of a set, prepared."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self.pictures = pictures
        self._kept = list(_each(pictures[:KEPT], prepare))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Prepared:
        return self._kept[index] if index < len(self._kept) else prepare(self.pictures[index])

    def size(self, index: int) -> Grid:
        """Of one, in pixels."""
        return Grid(*self.pictures[index].shape[:2])


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    """A trial with its arrays."""

    trial: Trial
    model: ForegroundModel
    fields: list[Picture]


def find_foreground(views: Sequence[View], pictures: Sequence[Picture], progress: Progress | None = None) -> Foreground:
    """Finds what stands out in all pictures of a set.

    Args:
        views: of the same pictures, the best size first; further ones serve as a check and a way out.
        pictures: `(h, w, 3)` RGB at a working size, some 256 pixels long.
        progress: follows the refinements.
    """
    progress = progress or Silent()
    starts: list[tuple[int, Prior]] = [(0, "centre"), (0, "border"), *((n, "centre") for n in range(1, len(views)))]
    progress.start("foreground", len(starts) * 2 * LOOKS * len(pictures))
    with single_threaded_blas():
        prepared = _Pictures(pictures)
        ended = [_try(number, prior, views[number], prepared, progress) for number, prior in starts]
    chosen = _choose([one.trial for one in ended])
    others = [_iou(ended[chosen].fields, one.fields) for n, one in enumerate(ended) if n != chosen]
    best = ended[chosen]
    return Foreground(tuple(best.fields), best.model, tuple(one.trial for one in ended), chosen, float(np.mean(others)))


def _choose(trials: Sequence[Trial]) -> int:
    ranks = [trial.quality - (MARGIN if trial.view else 0.0) for trial in trials]
    return int(np.argmax(ranks))


def _try(number: int, prior: Prior, view: View, pictures: _Pictures, progress: Progress) -> _Ended:
    """Two rounds: from the prior, and from what the first found. A third where that is the surroundings."""
    priors = [centre_prior(grid, CENTRE) if prior == "centre" else border_prior(grid, BORDER) for grid in view.grids]
    first = sum_of(moments(view.A, view.grids, priors))
    model, _ = _model(view, first, covariance_direction(first))
    last = _again(_refined(model, view, pictures, progress), view, pictures, progress)
    if _contact(last.fields) > MOST_CONTACT:
        last = _again([1 - field for field in last.fields], view, pictures, Silent())
    trial = Trial(
        number,
        prior,
        last.bimodality,
        _overlap(pictures, last.fields),
        _halves_agree(last.halves),
        _contact(last.fields),
    )
    return _Ended(trial, last.model, [to_levels(field) for field in last.fields])


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What a round found, and what it learned that from."""

    fields: list[Floats]
    model: ForegroundModel
    bimodality: float
    halves: tuple[Moments, Moments]


def _again(fields: Sequence[Floats], view: View, pictures: _Pictures, progress: Progress) -> _Round:
    """A round that learns from what the one before found."""
    halves = moments(view.A, view.grids, _targets(fields, view.grids))
    second = sum_of(halves)
    model, bimodality = _model(view, second, ridge_direction(second, RIDGE))
    return _Round(_refined(model, view, pictures, progress), model, bimodality, halves)


def _contact(fields: Sequence[Floats]) -> float:
    """Share of the pictures' borders that is foreground, mean over the pictures."""
    edges = (np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]]) for field in fields)
    return float(np.mean([(edge >= 0.5).mean() for edge in edges]))


def sum_of(halves: tuple[Moments, Moments]) -> Moments:
    """The moments of the whole set."""
    return halves[0] + halves[1]


def _model(view: View, made: Moments, direction: NDArray[np.float64]) -> tuple[ForegroundModel, float]:
    """Values in standard deviations, and the set's threshold; beside it how well two classes explain the values."""
    deviation = math.sqrt(max(float(direction @ made.covariance @ direction), 0.0)) or 1.0
    direction = direction / deviation
    values = along(view.A, made.mean, direction)
    sampled = np.stack([upsample(one, SAMPLED, SAMPLED) for one in _split(values, view.grids)])
    two, three = two_classes(sampled), three_classes(sampled)
    upper = float(np.clip((TWO_CLASSES - two.explained) / (TWO_CLASSES - ONE_CLASS), 0, 1))
    threshold = (1 - upper) * two.thresholds[0] + upper * three.thresholds[1]
    model = ForegroundModel(
        direction=direction.astype(np.float32),
        mean=made.mean.astype(np.float32),
        threshold=float(threshold),
        upper=upper,
        spread=float(sampled.std()) or 1.0,
        resize=view.resize,
    )
    return model, two.explained


def _split(values: Floats, grids: Sequence[Grid]) -> list[Floats]:
    """Rows back on the grids of their pictures."""
    starts = offsets(grids)
    return [
        values[start : start + grid.cells].reshape(grid.height, grid.width)
        for start, grid in zip(starts, grids, strict=False)
    ]


def project(
    model: ForegroundModel, view: View, pictures: Sequence[Picture], progress: Progress | None = None
) -> list[Picture]:
    """The foreground of pictures that the model was not learned from, one or many.

    Args:
        model: of a set that shows the same kind of object.
        view: of the pictures, at the model's size.
        pictures: `(h, w, 3)` at a working size.
        progress: is told of every look at every picture.

    Returns:
        maps `(h, w)`, 0..255; foreground from 128.
    """
    with single_threaded_blas():
        return [to_levels(field) for field in _refined(model, view, _Pictures(pictures), progress or Silent())]


def _refined(model: ForegroundModel, view: View, pictures: _Pictures, progress: Progress) -> list[Floats]:
    values = _split(model.values(view.A), view.grids)
    softs = _each(range(len(pictures)), lambda i: model.soft(values[i], pictures.size(i)))
    return _settled(list(softs), pictures, progress)


def refine(softs: Sequence[Floats], pictures: Sequence[Picture], progress: Progress | None = None) -> list[Floats]:
    """Soft maps sharpened by the colours of their pictures; the foreground's colours are partly the whole set's.

    Args:
        softs: `(h, w)` of each picture, 0..1.
        pictures: `(h, w, 3)`.
        progress: is told of every look at every picture.

    Returns:
        `(h, w)` foreground of each picture, 0..1.
    """
    with single_threaded_blas():
        return _settled(softs, _Pictures(pictures), progress or Silent())


def _settled(softs: Sequence[Floats], pictures: _Pictures, progress: Progress) -> list[Floats]:
    fields = [np.clip(soft, 1 - CERTAIN, CERTAIN) for soft in softs]
    unary = [np.log(field / (1 - field)) for field in fields]
    for _ in range(LOOKS):
        fields = list(followed(_look(unary, fields, pictures), progress))
    return fields


def _look(unary: Sequence[Floats], fields: Sequence[Floats], pictures: _Pictures) -> Iterator[Floats]:
    """One look at the colours of every picture, and what they say."""
    shared = np.zeros(BINS**3)  # every picture has the same weight
    for shares in _each(range(len(pictures)), lambda i: colour_shares(pictures[i].colours, fields[i])):
        shared += shares / len(pictures)
    return _each(range(len(pictures)), lambda i: settle(unary[i], fields[i], pictures[i], shared))


def _targets(fields: Sequence[Floats], grids: Sequence[Grid]) -> list[Floats]:
    return [shrink(field, grid.height, grid.width) for field, grid in zip(fields, grids, strict=True)]


def _overlap(pictures: _Pictures, fields: Sequence[Floats]) -> float:
    overlaps = _each(range(len(pictures)), lambda i: colour_overlap(pictures[i].colours, fields[i]))
    return float(np.mean(list(overlaps)))


def _halves_agree(halves: tuple[Moments, Moments]) -> float:
    """0 where there is one picture only: nothing is known then."""
    if min(half.rows for half in halves) == 0:
        return 0.0
    even, odd = halves
    ways = odd.correlation(ridge_direction(even, RIDGE)), even.correlation(ridge_direction(odd, RIDGE))
    return float(np.mean(ways))


def _iou(ours: Sequence[Picture], theirs: Sequence[Picture]) -> float:
    """Of two sets of masks, summed over the pictures; of nothing and nothing, 1."""
    pairs = [(a >= 128, b >= 128) for a, b in zip(ours, theirs, strict=True)]
    union = sum(int((a | b).sum()) for a, b in pairs)
    return sum(int((a & b).sum()) for a, b in pairs) / union if union else 1.0


def _each(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """In order, by as many threads as there are cores."""
    return in_order(items, work, available_cores())
