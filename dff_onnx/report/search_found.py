"""What a search found, as files, pages and terminals tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dff_onnx.files import printable
from dff_onnx.records import Box
from dff_onnx.report.results import nine_digits, strict_json

SCHEMA = "dff-onnx/search/1"


@dataclass(frozen=True, slots=True)
class Part:
    """What was asked for.

    Attributes:
        path: of the picture.
        box: in its pixels, None for all of it.
        concept: number of its part that was taken, None for the whole.
    """

    path: Path
    box: Box | None = None
    concept: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {"path": printable(self.path), "box": box_list(self.box), "concept": self.concept}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """An image that was found.

    Attributes:
        rank: from 1.
        path: relative to the index's folder, as `os.fsdecode` gives it.
        score: the similarity, -1..1; with unwanted parts, less theirs.
        label: its group, None where it has none.
        box: where in it, in its pixels; None where that was not asked, or nothing is there.
        id: in the index.
    """

    rank: int
    path: str
    score: float
    label: str | None
    box: Box | None
    id: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {
            "rank": self.rank,
            "path": printable(Path(self.path)),
            "score": nine_digits(self.score),
            "label": self.label,
            "box": box_list(self.box),
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class SearchFound:
    """A search and its results.

    Attributes:
        query: what was asked for.
        also, without: further parts, wanted and not.
        results: best first.
        images, regions: how many the index holds.
        settings: of the search, plain values.
        query_box: where in the query's picture the thing was seen, with `--where`.
        failures: results whose pictures could not be read, `(path, reason)`.
    """

    query: Part
    results: tuple[SearchResult, ...]
    images: int
    regions: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Part, ...] = ()
    without: tuple[Part, ...] = ()
    query_box: Box | None = None
    failures: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As results.json has it."""
        return {
            "schema": SCHEMA,
            "query": self.query.to_dict() | {"seen": box_list(self.query_box)},
            "also": [part.to_dict() for part in self.also],
            "without": [part.to_dict() for part in self.without],
            "settings": dict(self.settings),
            "index": {"images": self.images, "regions": self.regions},
            "results": [result.to_dict() for result in self.results],
            "failures": [{"path": printable(Path(path)), "reason": reason} for path, reason in self.failures],
        }


def search_json(found: SearchFound) -> bytes:
    """results.json of a search."""
    return strict_json(found.to_dict())


def box_list(box: Box | None) -> list[int] | None:
    """`[x0, y0, x1, y1]`."""
    return None if box is None else [box.x0, box.y0, box.x1, box.y1]
