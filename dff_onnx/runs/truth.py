"""A run beside masks that somebody drew: how well each concept, and the best union of them, covers the object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.datasets.dataset import MaskSource, Truth
from dff_onnx.datasets.masks import read_masks
from dff_onnx.datasets.paths import needed_folder
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.files import printable
from dff_onnx.metrics import Interval, bootstrap_interval, localized
from dff_onnx.report.figures import TruthFound
from dff_onnx.runs.discovery import Discovery
from dff_onnx.threads import available_cores, in_order

Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]

# All unions of so many concepts are tried; of more, the one that grows best.
MOST_TRIED = 8


def truth_of(discovery: Discovery, masks: str | Path) -> TruthFound:
    """Compares a run's masks and boxes with masks of the same names, as `dff-onnx eval coseg` does.

    IoU is summed over the pictures and divided once. A picture without a mask is left out; one whose mask is empty
    counts in IoU, not in CorLoc. Void pixels do not count. Intervals are by the bootstrap over pictures.

    Args:
        discovery: concepts that all pictures share, or the foreground.
        masks: the folder: `G/P.png` for the picture `G/P.jpg`.

    Raises:
        UsageError: when each picture has concepts of its own.
        DatasetError: when there is no such folder, no picture has a mask, all masks are empty, or one is damaged or of
            another size than its picture.
    """
    masks = Path(masks)
    check_truth(discovery.found.scale, masks)
    known = _known(discovery, masks)
    compared = list(_compared(discovery, known))
    if not any(one.hits for one in compared):
        raise DatasetError(f"{masks}: shows no object: every mask is empty; give masks of what is to be found")
    counted = _Patterns.of([one.patterns for one in compared])
    best = counted.best()
    hits = np.asarray([one.hits for one in compared if one.hits], float).T
    return TruthFound(
        images=len(compared),
        iou=tuple(counted.interval((j,)) for j in range(counted.k)),
        corloc=tuple(bootstrap_interval(one, np.ones_like(one), np.zeros(len(one))) for one in hits),
        union=counted.interval(best),
        best=best,
    )


def truth_setting(masks: str | Path | None) -> dict[str, str]:
    """As `run.toml` has it; nothing where there are none."""
    return {} if masks is None else {"truth": printable(Path(masks).resolve())}


def with_truth(discovery: Discovery, masks: str | Path) -> Discovery:
    """The discovery, with its figures beside masks; see `truth_of`."""
    return replace(discovery, found=replace(discovery.found, truth=truth_of(discovery, masks)))


def check_truth(scale: str, masks: str | Path) -> None:
    """Refuses, before a picture is read, what has no figures beside masks.

    Args:
        scale: of the concepts, `set` or `image`.
        masks: their folder.

    Raises:
        UsageError: for concepts that are another thing in each picture.
        DatasetError: when there is no such folder.
    """
    if scale != "set":
        raise UsageError(
            "--truth: concepts of one picture alone are another thing in each, and have no figures over a set; leave "
            "out --truth or --per-image"
        )
    needed_folder(masks, "the folder of masks")


def _known(discovery: Discovery, masks: Path) -> dict[int, MaskSource]:
    """The masks of a run's pictures, by their numbers."""
    groups = read_masks(discovery.folder, masks, missing="skip").groups
    by_path = {one.picture.relative_to(discovery.folder): one.mask for group in groups for one in group.pictures}
    found = {i: mask for i, path in enumerate(discovery.paths) if (mask := by_path.get(path)) is not None}
    if not found:
        raise DatasetError(
            f"{masks}: holds no mask for any picture of the run; give masks with the pictures' names, such as "
            f"{discovery.paths[0].with_suffix('.png')} for {discovery.paths[0]}"
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """One picture.

    Attributes:
        hits: whether each concept's box is found; empty where there is none to find.
        patterns: which concepts are on at a pixel `(k, p)`, and how many pixels of the object, and of the rest, have
            each of these patterns `(2, p)`.
    """

    hits: tuple[bool, ...]
    patterns: tuple[Bools, Counts]


def _compared(discovery: Discovery, known: dict[int, MaskSource]) -> Iterator[_Compared]:
    def compare(index: int) -> _Compared:
        image = discovery.images[index]
        truth = known[index].read(image.size)
        box = truth.box()
        hits = tuple(localized(one.box, [box]) for one in image.concepts) if box else ()
        return _Compared(hits, patterns_of(discovery.masks(index), truth))

    with single_threaded_blas():
        yield from in_order(known, compare, available_cores())


def patterns_of(masks: Bools, truth: Truth) -> tuple[Bools, Counts]:
    """Counts the pixels of each set of concepts that are on together: any union is then a sum.

    Args:
        masks: `(k, height, width)`.
        truth: void pixels count nowhere.

    Returns:
        the patterns `(k, p)`, and the pixels `(2, p)` of the object and of the rest that have them.

    >>> masks = np.array([[[1, 1, 0]], [[0, 1, 0]]], bool)
    >>> patterns, counts = patterns_of(masks, Truth(masks[1], np.zeros((1, 3), bool)))
    >>> patterns.astype(int).tolist(), counts.tolist()
    ([[0, 1, 1], [0, 0, 1]], [[0, 0, 1], [1, 1, 0]])
    """
    flat = masks[:, ~truth.void]
    numbers = np.zeros(flat.shape[1], np.intp)
    # Eight concepts at a time: the patterns so far are numbered, and each falls into 256 at most.
    for start in range(0, len(flat), 8):
        numbers = numbers * 256 + np.packbits(flat[start : start + 8], axis=0, bitorder="little")[0]
        there = np.flatnonzero(np.bincount(numbers))
        places = np.zeros(there[-1] + 1 if len(there) else 0, np.intp)
        places[there] = np.arange(len(there))
        numbers = places[numbers]
    count = int(numbers.max()) + 1 if len(numbers) else 0
    somewhere = np.zeros(count, np.intp)
    somewhere[numbers] = np.arange(len(numbers))
    on = truth.on[~truth.void]
    counts = np.stack([np.bincount(numbers[side], minlength=count) for side in (on, ~on)])
    return flat[:, somewhere], counts


@dataclass(frozen=True, slots=True, eq=False)
class _Patterns:
    """The patterns of all pictures, side by side.

    Attributes:
        on: `(k, p)` which concepts are on.
        counts: `(2, p)` pixels of the object and of the rest.
        pictures: `(p,)` whose they are.
        count: how many pictures there are.
    """

    on: Bools
    counts: Counts
    pictures: NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, found: Sequence[tuple[Bools, Counts]]) -> _Patterns:
        """Of pictures one after the other."""
        on, counts = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        pictures = np.repeat(np.arange(len(found)), [one.shape[1] for one, _ in found])
        return cls(on, counts, pictures, len(found))

    @property
    def k(self) -> int:
        """How many concepts there are."""
        return len(self.on)

    def iou(self, union: Sequence[int]) -> float:
        """Of a union of concepts with the object, summed over the pictures."""
        covered = self.on[list(union)].any(axis=0)
        inter = int(self.counts[0, covered].sum())
        return inter / (int(self.counts[0].sum()) + int(self.counts[1, covered].sum()))

    def interval(self, union: Sequence[int]) -> Interval:
        """The same with its interval over pictures."""
        covered = self.on[list(union)].any(axis=0)
        inter = self._by_picture(self.counts[0] * covered)
        either = self._by_picture(self.counts[0] + self.counts[1] * covered)
        return bootstrap_interval(inter, either, np.zeros(self.count))

    def _by_picture(self, counts: Counts) -> NDArray[np.float64]:
        return np.asarray(np.bincount(self.pictures, counts, self.count), np.float64)

    def best(self) -> tuple[int, ...]:
        """The union of the largest IoU, the smaller of equal ones; of many concepts, the one that grows best."""
        if self.k <= MOST_TRIED:
            unions = [union for size in range(1, self.k + 1) for union in combinations(range(self.k), size)]
            return max(unions, key=self.iou)
        union: tuple[int, ...] = ()
        while len(union) < self.k:
            grown = max(((*union, j) for j in range(self.k) if j not in union), key=self.iou)
            if union and self.iou(grown) <= self.iou(union):
                break
            union = grown
        return tuple(sorted(union))
