"""The files of ILSVRC's validation set, one by one: annotations, labels, the blacklist, the table that Kaggle gives.

Corners are inclusive and count from 0 (they run from 0 to 499 in pictures 500 pixels wide): `inclusive_box`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from dff_onnx.datasets.paths import read_text
from dff_onnx.datasets.voc_xml import LARGEST as LARGEST_XML
from dff_onnx.datasets.voc_xml import NUMBER
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box

LARGEST = 256 * 2**20
SOLUTION = ["ImageId", "PredictionString"]
LABEL = re.compile(r"\S{1,80}")
SYNSET = re.compile(r"n[0-9]{8}")
FIELDS = 5  # of a label with its box

Boxes = Mapping[str, tuple[Box, ...]]


def inclusive_box(x0: int, y0: int, x1: int, y1: int) -> Box:
    """The half-open box of the pixels from `x0` to `x1` and from `y0` to `y1`, both ends included.

    The development kit counts `x1 - x0 + 1` pixels a side, and so does this box; the origin does not matter as long as
    guesses and truth share it.

    Raises:
        DatasetError: when the box ends before it begins.

    >>> inclusive_box(0, 0, 499, 374)
    Box(x0=0, y0=0, x1=500, y1=375)
    """
    if x0 > x1 or y0 > y1:
        raise DatasetError(f"the box {x0} {y0} {x1} {y1} ends before it begins; xmin ymin xmax ymax are needed")
    return Box(x0, y0, x1 + 1, y1 + 1)


def read_annotation(path: Path) -> Boxes:
    """The boxes of each label in a picture, from its XML file (VOC's layout, a synset for a name).

    Boxes are not cut at the picture's border, because the development kit does not.

    Raises:
        DatasetError: naming the file and what was found in it.
    """
    text = read_text(path, LARGEST_XML)
    # As in `voc_xml`: entities unfold to gigabytes, and no annotation declares any.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError(f"{path}: declares a document type, which no annotation does; not read")
    try:
        tree = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DatasetError(f"{path}: is no XML ({error}); fetch the data set again") from error
    found: dict[str, tuple[Box, ...]] = {}
    for element in tree.findall("object"):
        try:
            label, box = _object(element)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}; correct the file or leave it out") from error
        found[label] = (*found.get(label, ()), box)
    return found


def read_solution(path: Path) -> dict[str, Boxes]:
    """Kaggle's `LOC_val_solution.csv`: for each picture the boxes of each label.

    Its columns are `ImageId` and `PredictionString`, a row of `label xmin ymin xmax ymax`, repeated.

    Raises:
        DatasetError: naming the line.
    """
    found: dict[str, Boxes] = {}
    reader = csv.reader(io.StringIO(read_text(path, LARGEST), newline=""), strict=True)
    try:
        if [cell.strip() for cell in next(reader, [])] != SOLUTION:
            raise DatasetError(f"does not begin with {','.join(SOLUTION)}; give Kaggle's LOC_val_solution.csv")
        for cells in reader:
            if cells:
                _add_solution(found, cells)
    except (csv.Error, DatasetError) as error:
        raise DatasetError(f"{path}, line {max(1, reader.line_num)}: {error}") from error
    if not found:
        raise DatasetError(f"{path}: has no row below its header; fetch the file again")
    return found


def read_labels(path: Path) -> list[tuple[int, ...]]:
    """`*_validation_ground_truth.txt`: the numbers of each line, zeros (no label) left out.

    Raises:
        DatasetError: naming the line, when something is no number or a line has none.
    """
    return _numbers(path, "ILSVRC's number of a class")


def read_blacklist(path: Path) -> frozenset[int]:
    """`*_validation_blacklist.txt`: numbers of pictures, from 1 in the order of their names.

    Raises:
        DatasetError: naming the line.
    """
    return frozenset(number for line in _numbers(path, "the number of a picture") for number in line)


def read_synset_map(path: Path) -> dict[int, str]:
    """The development kit's `map_clsloc.txt`: synsets by ILSVRC's own numbers, which are not in the synsets' order.

    Lines are `n02119789 1 kit_fox`.

    Raises:
        DatasetError: naming the line, also where a number or a synset is there twice.
    """
    found: dict[int, str] = {}
    seen: set[str] = set()
    for number, line in enumerate(read_text(path, LARGEST).split("\n"), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < 2 or not SYNSET.fullmatch(words[0]) or not re.fullmatch("[0-9]{1,7}", words[1]):
            raise DatasetError(f"{path}, line {number}: is {line[:60]!r}, and `n02119789 1 kit_fox` is the form needed")
        synset, own = words[0], int(words[1])
        if synset in seen or found.setdefault(own, synset) != synset:
            raise DatasetError(f"{path}, line {number}: {synset} or the number {own} stands there twice; correct it")
        seen.add(synset)
    if not found:
        raise DatasetError(f"{path}: has no line; fetch the development kit again")
    return found


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label with a box, as the lines of predictions and Kaggle's cells have them."""

    label: str
    box: Box


def labelled_boxes(words: Sequence[str]) -> list[Labelled]:
    """`label xmin ymin xmax ymax`, repeated.

    Raises:
        DatasetError: when the words are not five by five, or something is no number.

    >>> labelled_boxes("n02119789 0 0 9 4".split())
    [Labelled(label='n02119789', box=Box(x0=0, y0=0, x1=10, y1=5))]
    """
    if len(words) % FIELDS:
        raise DatasetError(f"has {len(words)} fields, and label xmin ymin xmax ymax are needed for each box")
    return [
        Labelled(_label(words[at]), inclusive_box(*map(_pixel, words[at + 1 : at + FIELDS])))
        for at in range(0, len(words), FIELDS)
    ]


def _add_solution(found: dict[str, Boxes], cells: Sequence[str]) -> None:
    if len(cells) != len(SOLUTION):
        raise DatasetError(f"has {len(cells)} cells, and {len(SOLUTION)} are needed")
    name = cells[0].strip()
    if not LABEL.fullmatch(name) or not name.isprintable():
        raise DatasetError(f"names {name[:40]!r}, and the name of a picture is needed")
    if name in found:
        raise DatasetError(f"{name} stands there twice")
    boxes: dict[str, tuple[Box, ...]] = {}
    for one in labelled_boxes(cells[1].split()):
        boxes[one.label] = (*boxes.get(one.label, ()), one.box)
    if not boxes:
        raise DatasetError(f"{name} has no box")
    found[name] = boxes


def _object(element: ElementTree.Element) -> tuple[str, Box]:
    frame = element.find("bndbox")
    if frame is None:
        raise DatasetError("an object has no <bndbox>")
    corners = [_pixel((frame.findtext(side) or "").strip()) for side in ("xmin", "ymin", "xmax", "ymax")]
    return _label((element.findtext("name") or "").strip()), inclusive_box(*corners)


def _label(text: str) -> str:
    if not LABEL.fullmatch(text) or not text.isprintable():
        raise DatasetError(f"has {text[:40]!r} for a label; a synset such as n02119789 is needed")
    return text


def _pixel(text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise DatasetError(f"has {text[:40]!r} for a corner; a number of pixels is needed")
    return round(float(text))


def _numbers(path: Path, what: str) -> list[tuple[int, ...]]:
    text = read_text(path, LARGEST).rstrip()
    found: list[tuple[int, ...]] = []
    for number, line in enumerate(text.split("\n") if text else (), 1):
        words = line.split()
        if not words or not all(re.fullmatch("[0-9]{1,9}", word) for word in words):
            _refuse(path, number, f"is {line.strip()[:40]!r}, and {what} is needed")
        found.append(tuple(int(word) for word in words if int(word)))
        if not found[-1]:
            _refuse(path, number, f"has no {what}")
    return found


def _refuse(path: Path, line: int, found: str) -> NoReturn:
    raise DatasetError(f"{path}, line {line}: {found}; fetch the development kit again")
