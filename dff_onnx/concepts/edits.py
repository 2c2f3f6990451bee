"""What one does with banks: join them, part one, name its concepts, compare two. Pure: banks in, banks out.

A heat map is a coefficient beside those of the other concepts, with which it shares what they have in common. So a
concept's heat falls where another joins it, and rises where one leaves. `docs/bank.md` has the figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.bank import FIGURES, Bank
from dff_onnx.concepts.matching import alike, unit_rows
from dff_onnx.errors import BankError, UsageError

SAME = 0.9  # the cosine from which concepts become one: of unrelated groups' concepts 0.2 % reach it
MOST_COLOURS = 4096  # a palette repeats itself at last: from here on colours come twice
LEAST_WEIGHT = 1e-9  # of a concept that has no energy

Palette = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A concept of one bank beside that of another; of two figures the first is ours.

    Attributes:
        ours, theirs: their numbers.
        cosine: of their directions.
        energy, threshold, names: of both.
    """

    ours: int
    theirs: int
    cosine: float
    energy: tuple[float, float]
    threshold: tuple[float, float]
    names: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Two banks beside each other.

    Attributes:
        pairs: concepts that both have, by our numbers.
        ours, theirs: numbers of those that one alone has.
    """

    pairs: tuple[Pair, ...]
    ours: tuple[int, ...]
    theirs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Joined:
    """Concepts that become one: sums weighted by energy, and what the first of them has."""

    direction: NDArray[np.float64]
    threshold: float
    weight: float
    energy: float
    peak: float
    name: str | None
    colour: str

    def __add__(self, later: _Joined) -> _Joined:
        return _Joined(
            direction=self.direction + later.direction,
            threshold=self.threshold + later.threshold,
            weight=self.weight + later.weight,
            energy=self.energy + later.energy,
            peak=max(self.peak, later.peak),
            name=self.name or later.name,
            colour=self.colour,
        )


def merged(banks: Sequence[Bank], palette: Palette, same: float = SAME) -> Bank:
    """The concepts of several banks in one, by energy.

    Concepts of different banks become one where their cosine is at least `same`; those of one bank stay apart. The
    direction is the mean by energy; so is the threshold, which is a percentile: that of two sets together lies between
    theirs. The peak is the larger one, so that scores stay within 0 to 1 on both sets. The first bank's name and colour
    hold, and a later name where there is none. A colour that an earlier concept has gives way to a free one. Energy is
    shared anew, each bank counting alike. Concepts that nothing uses are left out. The foreground that one of the banks
    holds is kept, be there concepts beside it or not.

    Args:
        banks: of one fingerprint.
        palette: the colour `#rrggbb` of a number.
        same: the least cosine, above 0 and up to 1.

    Raises:
        UsageError: where no bank has concepts, or several hold a foreground, or for an impossible `same`.
        BankError: for banks of different networks, or channels, or where there would be too many concepts.
    """
    if not 0 < same <= 1:
        raise UsageError(f"same: a cosine above 0 and up to 1 is needed, found {same}")
    first = banks[0]
    for bank in banks:
        check_alike(first, bank)
    foregrounds = [bank.foreground for bank in banks if bank.foreground is not None]
    if len(foregrounds) > 1:
        raise UsageError(
            f"{len(foregrounds)} of the banks hold a foreground, and one can be kept; leave out the others"
        )
    sizes = {bank.resize for bank in banks if len(bank.W)}
    concepts: list[_Joined] = []
    for bank in banks:
        _join(concepts, _parts(bank), same)
    if not concepts:
        raise UsageError("no concept of these banks is used by anything; give others")
    concepts.sort(key=lambda one: -one.energy)  # stable: earlier banks first
    return Bank(
        W=unit_rows(np.stack([one.direction for one in concepts])).astype(np.float32),
        thresholds=np.asarray([one.threshold / one.weight for one in concepts], np.float32),
        peaks=np.asarray([one.peak for one in concepts], np.float32),
        energy=_shares(np.asarray([one.energy for one in concepts])),
        names=tuple(one.name for one in concepts),
        colours=_told_apart([one.colour for one in concepts], palette),
        fingerprint=first.fingerprint,
        provenance=_common([bank.provenance for bank in banks]),
        resize=sizes.pop() if len(sizes) == 1 else None,
        foreground=foregrounds[0] if foregrounds else None,
    )


def split(bank: Bank, keep: Collection[int]) -> tuple[Bank, Bank | None]:
    """A bank with the concepts of some numbers, and one with the others; None where nothing is left.

    Thresholds and peaks stay; energy is shared anew, and what pictures lose is not known.

    Raises:
        UsageError: for a bank without concepts, and for numbers that it has not.
    """
    check_concepts(bank)
    _check_numbers(bank, keep)
    if not keep:
        raise UsageError("keep: at least one concept is needed")
    rest = [j for j in range(len(bank.W)) if j not in set(keep)]
    return _chosen(bank, sorted(set(keep))), _chosen(bank, rest) if rest else None


def renamed(bank: Bank, names: Mapping[int, str | None]) -> Bank:
    """A bank whose concepts of some numbers have other names; None takes a name away.

    Raises:
        UsageError: for numbers that it has not.
        BankError: for what cannot be a name.
    """
    _check_numbers(bank, names)
    return replace(bank, names=tuple(names.get(j, name) for j, name in enumerate(bank.names)))


def diff(ours: Bank, theirs: Bank) -> Difference:
    """Which concepts two banks share, matched one to one, and what each alone has.

    Raises:
        UsageError: for a bank without concepts.
        BankError: for banks of different networks or channels.
    """
    for bank in (ours, theirs):
        check_concepts(bank)
    check_alike(ours, theirs)
    matches = alike(ours.W, theirs.W)
    pairs = tuple(
        Pair(
            one.ours,
            one.theirs,
            one.cosine,
            energy=(float(ours.energy[one.ours]), float(theirs.energy[one.theirs])),
            threshold=(float(ours.thresholds[one.ours]), float(theirs.thresholds[one.theirs])),
            names=(ours.names[one.ours], theirs.names[one.theirs]),
        )
        for one in matches
    )
    here, there = {one.ours for one in matches}, {one.theirs for one in matches}
    return Difference(
        pairs,
        tuple(j for j in range(len(ours.W)) if j not in here),
        tuple(j for j in range(len(theirs.W)) if j not in there),
    )


def free_colours(taken: Iterable[str], palette: Palette) -> Iterator[str]:
    """Colours of a palette that are not taken, in its order, each once.

    >>> from itertools import islice
    >>> list(islice(free_colours(["#000001"], "#{:06x}".format), 2))
    ['#000000', '#000002']
    """
    used = set(taken)
    for number in itertools.count():
        colour = palette(number)
        if colour not in used or number >= MOST_COLOURS:
            used.add(colour)
            yield colour


def check_concepts(bank: Bank, path: str | Path = "the bank") -> None:
    """Raises `UsageError` for a bank of foreground mode alone.

    Args:
        bank: as read.
        path: of it, for the sentence.
    """
    if len(bank.W) == 0:
        raise UsageError(
            f"{path}: holds what tells a foreground from its surroundings, and no concepts of a factorization; "
            "give the bank of a run without --foreground"
        )


def check_alike(one: Bank, other: Bank) -> None:
    """Raises `BankError` for banks of different networks, or of other channels than their network has."""
    if one.fingerprint != other.fingerprint:
        raise BankError(
            f"banks: concepts of {one.fingerprint.described} and of {other.fingerprint.described} cannot be compared"
        )
    check_channels(one, other.W.shape[1])


def check_channels(bank: Bank, channels: int) -> None:
    """Raises `BankError` where a bank is of other channels than its fingerprint's activations."""
    if bank.W.shape[1] != channels:
        raise BankError(
            f"the bank: its concepts have {bank.W.shape[1]} channels, and others of the same network {channels}; "
            "one of them is not what it says: make it again"
        )


def _parts(bank: Bank) -> list[_Joined]:
    """The concepts that something uses."""
    W = bank.W.astype(np.float64)
    thresholds, peaks, energy = (getattr(bank, name).astype(np.float64) for name in FIGURES)
    weights = np.maximum(energy, LEAST_WEIGHT)
    return [
        _Joined(
            direction=weights[j] * W[j],
            threshold=float(weights[j] * thresholds[j]),
            weight=float(weights[j]),
            energy=float(energy[j]),
            peak=float(peaks[j]),
            name=bank.names[j],
            colour=bank.colours[j],
        )
        for j in range(len(W))
        if W[j].any()
    ]


def _join(concepts: list[_Joined], more: list[_Joined], same: float) -> None:
    """Adds a bank's concepts to those of earlier banks."""
    found = {}
    if concepts and more:
        here, there = (np.stack([one.direction for one in side]) for side in (concepts, more))
        found = {one.theirs: one.ours for one in alike(here, there, same)}
    for number, one in enumerate(more):
        if number in found:
            concepts[found[number]] += one
        else:
            concepts.append(one)


def _told_apart(colours: Sequence[str], palette: Palette) -> tuple[str, ...]:
    """The colours; where one comes again, a free one."""
    free = free_colours(colours, palette)
    return tuple(next(free) if colour in colours[:j] else colour for j, colour in enumerate(colours))


def _chosen(bank: Bank, numbers: list[int]) -> Bank:
    return replace(
        bank,
        W=bank.W[numbers],
        thresholds=bank.thresholds[numbers],
        peaks=bank.peaks[numbers],
        energy=_shares(bank.energy[numbers].astype(np.float64)),
        names=tuple(bank.names[j] for j in numbers),
        colours=tuple(bank.colours[j] for j in numbers),
        losses=(),
    )


def _shares(energy: NDArray[np.float64]) -> NDArray[np.float32]:
    return (energy / (energy.sum() or 1.0)).astype(np.float32)


def _check_numbers(bank: Bank, numbers: Collection[int]) -> None:
    k = len(bank.W)
    if odd := sorted(j for j in numbers if not 0 <= j < k):
        there = f"has 0 to {k - 1}" if k else "has no concepts"
        raise UsageError(f"there is no concept {odd[0]}: the bank {there}")


def _common(tables: Sequence[Mapping[str, Any]]) -> dict[str, str | int | float | bool]:
    """What all banks say alike of where they come from, how many they are, and all their pictures."""
    first = tables[0]
    shared = {key: first[key] for key in first if all(table.get(key) == first[key] for table in tables)}
    pictures = [table.get("images") for table in tables]
    counts = [number for number in pictures if type(number) is int]
    shared.pop("images", None)
    return shared | {"banks": len(tables)} | ({"images": sum(counts)} if len(counts) == len(tables) else {})
