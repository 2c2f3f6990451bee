"""Pattern discovery: which named regions a class map falls on, over the pictures of the class.

Zhou, Khosla, Lapedriza, Oliva, Torralba: "Learning Deep Features for Discriminative Localization" (CVPR 2016), section
4.3: the most informative objects of a scene are those that most often overlap with the high activation of its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dff_onnx.datasets.dataset import counted
from dff_onnx.datasets.label_maps import LabelMaps
from dff_onnx.errors import DatasetError, NoImagesError, UsageError
from dff_onnx.evaluation.stored import SCHEMA, to_json
from dff_onnx.evaluation.text import number
from dff_onnx.metrics.label_overlap import LabelCounts, LabelRank, label_counts, rank_labels
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import ConceptFound
from dff_onnx.report.names import fitted, shown
from dff_onnx.runs.machine import versions
from dff_onnx.runs.stored import StoredRun


@dataclass(frozen=True, slots=True)
class Patterns:
    """An evaluation of pattern discovery.

    Attributes:
        concept: whose maps were looked at, as the run names it.
        names: of the labels by their numbers.
        ranks: the best first.
        least: share of a label's pixels that must be exceeded.
        pictures: that were counted.
        empty: of these, those without any high activation.
        fingerprint: of the run's network.
        notes: sentences a user should see.
    """

    concept: str
    names: dict[int, str]
    ranks: tuple[LabelRank, ...]
    least: float
    pictures: int
    empty: int
    fingerprint: dict[str, Any]
    notes: tuple[str, ...]


def evaluate_patterns(
    run: StoredRun,
    regions: LabelMaps,
    concept: str | None = None,
    least: float = 0.5,
    *,
    skip_missing: bool = False,
    progress: Progress | None = None,
) -> Patterns:
    """Counts the labels under the masks of one class map over a run's pictures.

    The high activation of a picture is the mask of its map: where it reaches the threshold that the run gave it.

    Args:
        run: of class maps (or concepts) on pictures of the class, from `read_run`.
        regions: a label map for each picture.
        concept: name or number of a map; None where each picture has one alone. Pictures without it are left out.
        least: see `rank_labels`.
        skip_missing: leave out pictures without a label map, where they are an error otherwise.
        progress: follows the pictures.

    Raises:
        UsageError: when there is no such map, or several and none was named, and as `rank_labels`.
        DatasetError: when a label map is missing or cannot be used.
        RefusedError: when the run is damaged.
        NoImagesError: when no picture is left.
    """
    progress = progress or Silent()
    places = _places(run, concept)
    here = [index for index, place in enumerate(places) if place is not None]
    counts: list[LabelCounts] = []
    progress.start("counting", len(here))
    for index in here:
        one = _counted(run, index, places[index] or 0, regions, skip_missing)
        counts += [one] if one else []
        progress.advance()
    if not counts:
        raise NoImagesError(f"{regions.folder}: has no label map for any picture of {run.home}")
    return Patterns(
        concept=_name(run, here[0], places[here[0]] or 0),
        names={label: shown(name) for label, name in regions.names.items()},
        ranks=tuple(rank_labels(counts, least)),
        least=least,
        pictures=len(counts),
        empty=sum(not one.on.any() for one in counts),
        fingerprint=run.found.fingerprint.to_dict(),
        notes=tuple(_notes(len(places) - len(here), len(here) - len(counts))),
    )


def patterns_terminal(patterns: Patterns, most: int = 20) -> str:
    """The first ranks, ready to be printed in 80 columns."""
    lines = [
        f"{fitted(shown(patterns.concept), 40).rstrip()}: {counted(patterns.pictures, 'picture')}, "
        f"{patterns.empty} without high activation",
        f"a region counts where more than {patterns.least:g} of it is in the high activation",
        "",
        f"{'':<26}{'share':>7}{'pictures':>10}{'present':>9}{'of those':>10}{'covers':>9}{'chance':>9}",
    ]
    for rank in patterns.ranks[:most]:
        counts = f"{number(rank.frequency):>7}{rank.pictures:>10}{rank.present:>9}{number(rank.when_present):>10}"
        shares = f"{number(rank.covered):>9}{number(rank.chance):>9}"
        lines.append(f"{fitted(patterns.names[rank.label], 25)} {counts}{shares}")
    if len(patterns.ranks) > most:
        lines.append(f"and {len(patterns.ranks) - most} more; --json has all")
    return "\n".join(lines)


def patterns_json(patterns: Patterns) -> str:
    """All ranks with their counts."""
    fields = {
        "schema": SCHEMA,
        "kind": "patterns",
        "concept": patterns.concept,
        "source": "measured",
        "fingerprint": patterns.fingerprint,
        "versions": versions(),
        "overlap": patterns.least,
        "pictures": patterns.pictures,
        "empty": patterns.empty,
        "notes": list(patterns.notes),
        "labels": [{"name": patterns.names[rank.label], **asdict(rank)} for rank in patterns.ranks],
    }
    return to_json(fields)


def _places(run: StoredRun, concept: str | None) -> list[int | None]:
    """Where the map stands among those of each picture; None where a picture has it not."""
    tables = [run.found.concepts_of(image) for image in run.images]
    if concept is None:
        if any(len(table) != 1 for table in tables):
            names = sorted({_told(one) for table in tables for one in table})
            raise UsageError(
                f"{run.home}: has several maps a picture; say with --concept which: {', '.join(names[:8])[:300]}"
            )
        labels = {_told(table[0]) for table in tables}
        if len(labels) > 1:
            raise UsageError(
                f"{run.home}: has maps of {len(labels)} classes; say with --concept which: "
                f"{', '.join(sorted(labels)[:8])[:300]}"
            )
        return [0] * len(tables)
    places = [next((one.number for one in table if concept in (one.name, str(_number(one)))), None) for table in tables]
    if all(place is None for place in places):
        raise UsageError(f"{run.home}: has no map of {concept[:80]!a}; give a name or number from its results.json")
    return places


def _counted(run: StoredRun, index: int, place: int, regions: LabelMaps, skip: bool) -> LabelCounts | None:
    image = run.images[index]
    path = regions.file(image.path)
    if path is None:
        if skip:
            return None
        raise DatasetError(
            f"{regions.folder / Path(image.path).with_suffix('.png')}: there is no such label map; add it, or leave "
            "such pictures out with --skip-missing"
        )
    return label_counts(regions.read(path, image.size), run.masks(index)[place])


def _name(run: StoredRun, index: int, place: int) -> str:
    return _told(run.found.concepts_of(run.images[index])[place])


def _number(one: ConceptFound) -> int:
    """The class's, where the map is one of a class; else the concept's."""
    return one.number if one.class_number is None else one.class_number


def _told(one: ConceptFound) -> str:
    return shown(one.name) if one.name else f"{'concept' if one.class_number is None else 'class'} {_number(one)}"


def _notes(without: int, missing: int) -> Sequence[str]:
    notes = [f"{counted(without, 'picture')} without this map: left out"] if without else []
    return [*notes, *([f"{counted(missing, 'picture')} without a label map: left out"] if missing else [])]
