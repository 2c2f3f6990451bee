"""The objects of a collection that come back, as files, pages and terminals tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dff_onnx.files import printable
from dff_onnx.records import Box
from dff_onnx.report.results import nine_digits, strict_json
from dff_onnx.report.search_found import box_list

SCHEMA = "dff-onnx/objects/1"


@dataclass(frozen=True, slots=True)
class ObjectRegion:
    """Where an object is.

    Attributes:
        path: of the picture, relative to the index's folder, as `os.fsdecode` gives it.
        box: in its pixels.
        saliency: f, the region's mean saliency in its picture, 0..1.
        centrality: g, of the region in the graph of all.
        similarity: to the object's most central region, 0..1; 1 for that itself.
        id: of the region in the index.
        label: group of the picture, None where it has none.
    """

    path: str
    box: Box
    saliency: float
    centrality: float
    similarity: float
    id: int
    label: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {
            "path": printable(Path(self.path)),
            "box": box_list(self.box),
            "saliency": nine_digits(self.saliency),
            "centrality": nine_digits(self.centrality),
            "similarity": nine_digits(self.similarity),
            "id": self.id,
            "label": self.label,
        }


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object: regions of different pictures, at least two.

    Attributes:
        number: from 1, the most central first.
        regions: the most central one, then the others by falling similarity to it.
    """

    number: int
    regions: tuple[ObjectRegion, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON stores it."""
        return {"number": self.number, "regions": [region.to_dict() for region in self.regions]}


@dataclass(frozen=True, slots=True)
class ObjectsFound:
    """The objects of an index.

    Attributes:
        objects: the most central first.
        images, regions: how many the index holds.
        settings: plain values.
        failures: pictures that could not be shown, `(path, reason)`.
    """

    objects: tuple[FoundObject, ...]
    images: int
    regions: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As objects.json has it."""
        return {
            "schema": SCHEMA,
            "settings": dict(self.settings),
            "index": {"images": self.images, "regions": self.regions},
            "objects": [one.to_dict() for one in self.objects],
            "failures": [{"path": printable(Path(path)), "reason": reason} for path, reason in self.failures],
        }


def objects_json(found: ObjectsFound) -> bytes:
    """objects.json."""
    return strict_json(found.to_dict())
