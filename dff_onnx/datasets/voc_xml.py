"""One annotation of PASCAL VOC: the objects in a picture, from its XML file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from dff_onnx.datasets.dataset import clipped
from dff_onnx.datasets.paths import read_text
from dff_onnx.errors import DatasetError
from dff_onnx.images.picture import MAX_PIXELS
from dff_onnx.records import Box, Grid

LARGEST = 4 * 2**20
# Some years have fractions of pixels.
NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,40})?")


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object.

    Attributes:
        label: its class.
        box: half-open pixels, cut at the picture's border.
        difficult, truncated: as the annotators said; False where the file does not say, as in the VOC devkit.
    """

    label: str
    box: Box
    difficult: bool = False
    truncated: bool = False

    @property
    def clean(self) -> bool:
        """Neither difficult nor truncated."""
        return not (self.difficult or self.truncated)


@dataclass(frozen=True, slots=True)
class VocPicture:
    """An annotation: the name of its picture, that picture's size, and what is in it (perhaps nothing)."""

    file_name: str
    size: Grid
    objects: tuple[VocObject, ...]


def read_voc_xml(path: Path) -> VocPicture:
    """Reads an annotation. Its boxes, 1-based and inclusive, become half-open: `(x1 - 1, y1 - 1, x2, y2)`.

    The file is hostile: it may not declare entities (which unfold to gigabytes) nor have more than 4 MiB.

    Raises:
        DatasetError: naming the file and what was found in it.
    """
    text = read_text(path, LARGEST)
    # The text is decoded already: the parser takes no other encoding, in which these words would look different.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError(f"{path}: declares a document type, which no annotation of VOC does; not read")
    try:
        tree = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: is no XML ({error}); fetch the data set again") from error
    return _Annotation(path).picture(tree)


@dataclass(frozen=True, slots=True)
class _Annotation:
    """The file that a message must name."""

    path: Path

    def picture(self, tree: ElementTree.Element) -> VocPicture:
        """The whole annotation."""
        sides = [self._number(self._child(tree, "size"), side) for side in ("height", "width")]
        if min(sides) < 1 or sides[0] * sides[1] > MAX_PIXELS:
            self._refuse(f"its picture is {sides[1]} wide and {sides[0]} high, which cannot be")
        size = Grid(*sides)
        name = self._text(tree, "filename")
        return VocPicture(name, size, tuple(self._object(element, size) for element in tree.findall("object")))

    def _object(self, element: ElementTree.Element, size: Grid) -> VocObject:
        label, frame = self._text(element, "name"), self._child(element, "bndbox")
        x1, y1, x2, y2 = (self._number(frame, side) for side in ("xmin", "ymin", "xmax", "ymax"))
        told = f"the box {x1},{y1},{x2},{y2} of its {label[:40]!r}"
        if x1 > x2 or y1 > y2:
            self._refuse(f"{told} ends before it begins")
        box = clipped(Box(x1 - 1, y1 - 1, x2, y2), size)
        if box is None:
            self._refuse(f"{told} is outside the picture of {size.width}x{size.height} pixels")
        return VocObject(label, box, self._flag(element, "difficult"), self._flag(element, "truncated"))

    def _child(self, element: ElementTree.Element, tag: str) -> ElementTree.Element:
        child = element.find(tag)
        if child is None:
            self._refuse(f"{element.tag[:40]!r} has no <{tag}>")
        return child

    def _text(self, element: ElementTree.Element, tag: str) -> str:
        text = (self._child(element, tag).text or "").strip()
        if not text or not text.isprintable():
            self._refuse(f"<{tag}> holds {text[:40]!r}, and a name is needed")
        return text

    def _number(self, element: ElementTree.Element, tag: str) -> int:
        text = (self._child(element, tag).text or "").strip()
        if not NUMBER.fullmatch(text):
            self._refuse(f"<{tag}> holds {text[:40]!r}, and a number is needed")
        return round(float(text))

    def _flag(self, element: ElementTree.Element, tag: str) -> bool:
        child = element.find(tag)
        text = "0" if child is None else (child.text or "").strip()
        if text not in ("0", "1"):
            self._refuse(f"<{tag}> holds {text[:40]!r}, and 0 or 1 is needed")
        return text == "1"

    def _refuse(self, found: str) -> NoReturn:
        raise DatasetError(f"{self.path}: {found}; correct the file or leave it out")
