"""PASCAL-Part (Chen et al., CVPR 2014): the pictures of VOC 2010 with a mask of every object and of its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dff_onnx.datasets.dataset import Annotated, DataSet, Group, Mask, PartMasks, Truth, box_around, counted
from dff_onnx.datasets.matlab import Fields, Value, read_matlab
from dff_onnx.datasets.part_names import PartNames, read_part_names, shipped_names
from dff_onnx.datasets.paths import is_file, is_folder, needed_folder, read_bytes
from dff_onnx.datasets.voc import (
    CLASSES,
    Rule,
    VocEntry,
    check_rule,
    foreign_classes,
    read_entry,
    read_list,
    sizes_told,
    voc_folder,
)
from dff_onnx.datasets.voc_xml import VocObject
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box, Grid

WITHOUT_PARTS = ("boat", "chair", "diningtable", "sofa")
CLASSES_WITH_PARTS = tuple(label for label in CLASSES if label not in WITHOUT_PARTS)
LARGEST = 64 * 2**20
NEEDED = "PASCAL-Part is over VOC 2010; give its VOCdevkit"


class PartObject(NamedTuple):
    """One object of an annotation, its masks `(H, W)`, and the object of the VOC XML that it overlaps best."""

    label: str
    mask: Mask
    parts: tuple[tuple[str, Mask], ...]
    twin: VocObject | None


@dataclass(frozen=True, slots=True)
class PartAnnotation:
    """The objects of one class in an `Annotations_Part/*.mat`, which is read when it is asked for.

    Attributes:
        path: the file.
        label: the class.
        known: the objects of that class in the VOC XML, which alone knows what is difficult or truncated.
        clean: whether to leave out objects that are either, or that the XML does not know.
        names: what the parts are called.
    """

    path: Path
    label: str
    known: tuple[VocObject, ...]
    clean: bool
    names: PartNames

    def objects(self, size: Grid) -> tuple[PartObject, ...]:
        """Each object of the class, in the order of the file, its parts under the names of the annotation.

        Raises:
            DatasetError: when the file is missing, malformed, or of a picture of another size or name.
        """
        data = read_bytes(self.path, LARGEST)
        try:
            records = _objects(read_matlab(data), self.path.stem)
            found = [_object(record, size, self.known) for record in records if _name(record, "class") == self.label]
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}; fetch PASCAL-Part again") from error
        return tuple(o for o in found if not self.clean or (o.twin is not None and o.twin.clean))


@dataclass(frozen=True, slots=True)
class PartAnnotationMask:
    """The union of the objects' masks."""

    annotation: PartAnnotation

    def read(self, size: Grid) -> Truth:
        """The mask of a picture of that size; raises as `PartAnnotation.objects`."""
        on = np.zeros((size.height, size.width), bool)
        for found in self.annotation.objects(size):
            on |= found.mask
        return Truth(on, np.zeros_like(on))


@dataclass(frozen=True, slots=True)
class PartAnnotationParts:
    """The objects' parts, those of one new name together."""

    annotation: PartAnnotation

    def read(self, size: Grid) -> PartMasks:
        """The parts, sorted by name; raises as `PartAnnotation.objects`."""
        merged: dict[str, Mask] = {}
        for found in self.annotation.objects(size):
            for part, mask in found.parts:
                name = self.annotation.names.of(found.label, part)
                merged[name] = merged[name] | mask if name in merged else mask
        names = tuple(sorted(merged))
        shape = (len(names), size.height, size.width)
        return PartMasks(names, np.stack([merged[n] for n in names]) if names else np.zeros(shape, bool))


def read_pascal_part(
    root: str | Path,
    annotations: str | Path,
    mapping: str | Path | PartNames | None = None,
    split: str | None = None,
    rule: Rule = "class",
    clean: bool = False,
) -> DataSet:
    """Reads the 16 classes that have parts, one group a class; boxes and flags come from the XML files of VOC 2010.

    Args:
        root: of VOC 2010, as `read_voc` takes it.
        annotations: `Annotations_Part`, or the folder that holds it.
        mapping: which parts become one: a file for `read_part_names`, or names; None: `pascal_parts.toml`.
        split: a list of VOC 2010 to stay within; None: all annotated pictures.
        rule: which pictures a class keeps, as in `read_voc`.
        clean: boxes, masks and parts only of objects that are neither difficult nor truncated.

    Raises:
        DatasetError: when a file is missing or malformed. The `.mat` files are opened later, when masks are read.
        UsageError: when there is no such rule.
    """
    check_rule(rule)
    base, folder = voc_folder(root, "2010", NEEDED), _annotation_folder(annotations)
    names = _part_names(mapping)
    listed = None if split is None else read_list(base / "ImageSets" / "Main", split)
    wanted = sorted(_stems(folder) if listed is None else set(_stems(folder)) & set(listed))
    entries = [read_entry(base, name) for name in wanted]
    groups = [_group(label, entries, folder, names, rule, clean) for label in CLASSES_WITH_PARTS]
    filled = tuple(group for group in groups if group.pictures)
    if not filled:
        raise DatasetError(
            f"{folder}: no annotated picture is left by the rule {rule!r}; choose another with --voc-filter"
        )
    notes = [f"part names: {names.name}", f"rule {rule!r}: {sizes_told(filled)}", *foreign_classes(entries)]
    without = 0 if listed is None else len(set(listed) - set(wanted))
    if without:
        notes.append(f"{counted(without, 'picture')} of {split} without a file in {folder}: left out")
    return DataSet("PASCAL-Part", filled, tuple(notes))


def _annotation_folder(path: str | Path) -> Path:
    folder = needed_folder(path, "Annotations_Part, or the folder that holds it")
    return folder / "Annotations_Part" if is_folder(folder / "Annotations_Part") else folder


def _part_names(mapping: str | Path | PartNames | None) -> PartNames:
    if mapping is None:
        return shipped_names()
    return mapping if isinstance(mapping, PartNames) else read_part_names(mapping)


def _stems(folder: Path) -> Iterator[str]:
    return (path.stem for path in folder.glob("*.mat") if is_file(path))


def _group(label: str, entries: Sequence[VocEntry], folder: Path, names: PartNames, rule: Rule, clean: bool) -> Group:
    pictures = []
    for entry in entries:
        if entry.kept(label, rule):
            own = entry.of(label)
            annotation = PartAnnotation(folder / f"{entry.name}.mat", label, own, clean, names)
            boxes = tuple(o.box for o in own if o.clean or not clean)
            mask, parts = PartAnnotationMask(annotation), PartAnnotationParts(annotation)
            pictures.append(Annotated(entry.picture, entry.annotation.size, boxes, mask, parts))
    return Group(label, tuple(pictures))


def _objects(variables: Fields, stem: str) -> list[Fields]:
    """The structures `anno.objects`."""
    annotation = _structures(variables.get("anno"), "anno")
    if len(annotation) != 1:
        raise DatasetError(f"holds {len(annotation)} structures named anno, and one is needed")
    name = _name(annotation[0], "imname")
    if name.removesuffix(".jpg") != stem:
        raise DatasetError(f"belongs to the picture {name[:80]!r}")
    return _structures(annotation[0].get("objects"), "anno.objects")


def _object(record: Fields, size: Grid, known: Sequence[VocObject]) -> PartObject:
    mask = _mask(record, size)
    parts = [(_name(part, "part_name"), _mask(part, size)) for part in _structures(record.get("parts"), "parts")]
    return PartObject(_name(record, "class"), mask, tuple(parts), _twin(mask, known))


def _structures(value: Value | None, what: str) -> list[Fields]:
    if isinstance(value, list):
        return value
    if isinstance(value, np.ndarray) and value.size == 0:  # MATLAB's [], for none
        return []
    raise DatasetError(f"has no structures {what}")


def _name(record: Fields, field: str) -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        found = repr(value[:40]) if isinstance(value, str) else "no text"
        raise DatasetError(f"{field} is {found}, and a name is needed")
    return value


def _mask(record: Fields, size: Grid) -> NDArray[np.bool_]:
    value = record.get("mask")
    if not isinstance(value, np.ndarray) or value.shape != (size.height, size.width):
        found = f"the shape {value.shape}" if isinstance(value, np.ndarray) else "no numbers"
        raise DatasetError(f"a mask has {found}, and its picture has {size.width}x{size.height} pixels")
    return np.asarray(value != 0)


def _twin(mask: Mask, known: Sequence[VocObject]) -> VocObject | None:
    """The object whose box overlaps best with the mask's; the order of the two files need not agree."""
    box = box_around(mask)
    if box is None or not known:
        return None
    best = max(known, key=lambda o: _overlap(box, o.box))
    return best if _overlap(box, best.box) > 0 else None


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    common = max(width, 0) * max(height, 0)
    return common / (one.area + other.area - common)
