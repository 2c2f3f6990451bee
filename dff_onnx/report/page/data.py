"""The data of a page: `docs/report.md` describes the format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.report.figures import Curves
from dff_onnx.report.found import ConceptFound, ConceptInImage, Found
from dff_onnx.report.page.fill import Names, island, page
from dff_onnx.report.page.layout import BOXES, LIMIT, MAP_BYTES, Layout, Level, Report
from dff_onnx.report.page.sections import foot, percent, sections_of, short
from dff_onnx.report.page.thumbs import small_maps, text_of, thumbnail

BINS = 20  # of a histogram of scores
ON = 0.5  # of a sharpened map
LONGEST_NAME = 60  # of a class
LONGEST_LINK = 3_000  # of an overlay's path, escaped

Entry = dict[str, Any]


def page_of(report: Report, layout: Layout, number: int, entries: Mapping[int, Entry]) -> bytes:
    """A page as a file.

    Args:
        report, layout: what the pages show, and where.
        number: of the page, from 0.
        entries: of its pictures and of those its concepts need, by their numbers; see `entry_of`.
    """
    return page(_data(report, layout, number, entries), names_of(report))


def names_of(report: Report) -> Names:
    """Of the concepts of each level; none where pictures have their own, which have theirs in the data."""
    return [[concept.name for concept in level.found.concepts] for level in report.levels]


def budget_of(report: Report, layout: Layout) -> int:
    """Bytes that one picture may take on any page."""
    fixed = max(len(page_of(report, layout, number, {})) for number in {0, len(layout.pages) - 1})
    most = max(len(pictures) + len(layout.more(number)) for number, pictures in enumerate(layout.pages))
    return (LIMIT - fixed) // most


def entry_of(report: Report, index: int, picture: NDArray[np.uint8] | None, overlay: str | None, budget: int) -> Entry:
    """What a page has of one picture.

    Args:
        report: what the pages show.
        index: number of the picture.
        picture: `(height, width, 3)` uint8, 320 or more on the longer side; None where it cannot be read.
        overlay: path of its overlay below the run's folder.
        budget: bytes that it may take.
    """
    image = report.images[index]
    entry: Entry = {
        "path": short(image.path),
        "width": image.size.width,
        "height": image.size.height,
        "overlay": _link(overlay),
        "loss": rounded(image.loss),
        "unexplained": report.found.is_unexplained(image),
        "thumb": None,
        "answers": [[short(one.name, LONGEST_NAME), rounded(one.probability)] for one in image.answers],
        "levels": [_level_in_image(report, level, index) for level in report.levels],
    }
    if picture is not None:
        entry["thumb"] = thumbnail(picture, budget - len(island(entry)))
    return entry


def _data(report: Report, layout: Layout, number: int, entries: Mapping[int, Entry]) -> dict[str, Any]:
    pictures, more = layout.pages[number], layout.more(number)
    place = {index: i for i, index in enumerate([*pictures, *more])}
    return {
        "title": short(report.title),
        "kind": report.kind,
        "facts": _facts(report),
        "page": {
            "number": number + 1,
            "files": list(layout.files),
            "first": pictures.start,
            "pictures": len(report.images),
            "shown": report.shown,
        },
        "scale": report.found.scale,
        "start": report.start,
        "levels": [
            _level(level, [[place[index] for index in one] for one in tops])
            for level, tops in zip(report.levels, layout.tops, strict=True)
        ],
        "images": [entries[index] for index in pictures if index in entries],
        "more": [entries[index] for index in more if index in entries],
        "sections": sections_of(report.found),
        "foot": foot(report.tables),
    }


def _facts(report: Report) -> list[list[str]]:
    """What one wants to know first."""
    found = report.found
    facts = [["pictures", str(len(found.images))]]
    if found.failures:
        facts.append(["could not be used", str(len(found.failures))])
    if found.fit is not None and report.kind != "tree":
        facts.append(["explained", f"{percent(1 - found.fit.loss)} by {_many(found.fit.k)}"])
    own = [] if found.concepts else [image.fit.loss for image in found.images if image.fit is not None]
    if own:
        ks = max(len(image.table) for image in found.images)
        facts.append(["explained", f"{percent(1 - sum(own) / len(own))} on average, by {_many(ks)} of its own"])
    if found.applied is not None and found.applied.limit is not None:
        facts.append(["not explained by the bank", str(len(found.unexplained))])
    if found.foreground is not None:
        facts += [["sure", found.foreground.sure], ["agreement of the trials", f"{found.foreground.agreement:.2f}"]]
    if found.class_maps is not None:
        facts.append(["class maps", f"{found.class_maps.method}, {found.class_maps.classes} classes"])
    return [*facts, ["layer", short(found.fingerprint.layer, LONGEST_NAME)], ["device", found.device]]


def _many(k: int) -> str:
    return "1 concept" if k == 1 else f"{k} concepts"


def _level(level: Level, tops: Sequence[Sequence[int]]) -> dict[str, Any]:
    found = level.found
    sharp = bool(found.concepts) and level.maps(0).dtype == np.uint8
    return {
        "k": len(found.concepts) or max((len(image.table) for image in found.images), default=0),
        "explained": None if found.fit is None else rounded(1 - found.fit.loss),
        "label": level.label,
        "concepts": [
            _concept(concept, sharp)
            | _judged(found, concept.number)
            | {
                "parent": level.parents[concept.number] if level.parents else None,
                "bins": _bins(found.scores_of(concept.number)),
                "top": list(tops[concept.number]),
            }
            for concept in found.concepts
        ],
    }


def _concept(concept: ConceptFound, sharp: bool) -> dict[str, Any]:
    return {
        "number": concept.number,
        "colour": concept.colour,
        "energy": rounded(concept.energy),
        "threshold": rounded(concept.threshold),
        "peak": rounded(concept.peak),
        "on": ON if sharp else _on(concept),
        "classes": [[short(one.name, LONGEST_NAME), rounded(one.weight)] for one in concept.classes],
        "like": [concept.like.concept, rounded(concept.like.cosine)] if concept.like else None,
        "importance": None,
        "control": None,
        "parent": None,
    }


def _on(concept: ConceptFound) -> float:
    """The threshold in the scale of the maps; a concept that is nowhere is never on."""
    return float(f"{concept.threshold / concept.peak:.6g}") if concept.peak > 0 else 1.0


def _judged(found: Found, number: int) -> dict[str, Any]:
    """How much a classifier goes by the concept, and by a random one."""
    if found.faithfulness is None:
        return {}
    curves: Curves = found.faithfulness.concepts
    control = [one.estimate for one in found.faithfulness.control.importance]
    one = curves.importance[number]
    return {
        "importance": [rounded(one.estimate), rounded(one.low), rounded(one.high)],
        "control": rounded(sum(control) / len(control)) if control else None,
    }


def _bins(scores: Sequence[float]) -> list[int]:
    """How many pictures score 0 to 1/20, and so on; 1 is in the last."""
    counts = [0] * BINS
    for score in scores:
        counts[min(int(score * BINS), BINS - 1)] += 1
    return counts


def _level_in_image(report: Report, level: Level, index: int) -> dict[str, Any]:
    image = level.found.images[index]
    concepts, maps = level.found.concepts_of(image), level.maps(index)
    small = small_maps(maps, [concept.peak for concept in concepts], max(1, MAP_BYTES // max(report.concepts, 1)))
    sharp = maps.dtype == np.uint8
    own = {"table": [_own(concept, sharp) for concept in image.table]} if image.table else {}
    boxes = max(1, BOXES // max(len(concepts), 1))
    return {
        "h": small.shape[1],
        "w": small.shape[2],
        "maps": text_of(small.tobytes()),
        **own,
        "concepts": [_in_image(here, boxes) for here in image.concepts],
    }


def _own(concept: ConceptFound, sharp: bool) -> dict[str, Any]:
    """Of a picture's own table: with its name, and the first of its classes alone."""
    fields = _concept(replace(concept, classes=concept.classes[:1]), sharp)
    return fields | {"name": None if concept.name is None else short(concept.name, LONGEST_NAME)}


def _in_image(here: ConceptInImage, boxes: int) -> list[Any]:
    regions = here.regions[:boxes]
    return [
        rounded(here.score),
        rounded(here.share),
        [[one.box.x0, one.box.y0, one.box.x1, one.box.y1] for one in regions],
    ]


def _link(overlay: str | None) -> str | None:
    """A path that a page can link to: one with bytes that are no UTF-8 has no address in it."""
    if overlay is None or any("\ud800" <= character <= "\udfff" for character in overlay):
        return None
    return overlay if len(json.dumps(overlay)) <= LONGEST_LINK else None


def rounded(value: float | None) -> float | None:
    """Four digits: what a page shows.

    >>> rounded(1 / 3), rounded(None)
    (0.3333, None)
    """
    return None if value is None else float(f"{value:.4g}")
