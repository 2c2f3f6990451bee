"""A table of boxes: one row a box, in a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from dff_onnx.datasets.dataset import Annotated, DataSet, Group, clipped, counted
from dff_onnx.datasets.paths import inside, is_file, needed_folder, pictures_below, read_text
from dff_onnx.errors import DatasetError
from dff_onnx.images.picture import DAMAGE, FORMATS, ORIENTATION
from dff_onnx.records import Box, Grid

SIDES = ("x0", "y0", "x1", "y1")
GROUP_COLUMNS = ("class", "group")
LARGEST = 256 * 2**20
WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,9}(\.0*)?\s*")


def read_boxes(pictures: str | Path, table: str | Path) -> DataSet:
    """Reads boxes from a CSV file with the columns `image,x0,y0,x1,y1` and, if wanted, `class` or `group`.

    The columns may come in any order, among others. Boxes are half-open pixels of the picture after its EXIF turn: the
    left upper pixel alone is `0,0,1,1`. A box is cut at the picture's border. Groups and their pictures keep the order
    of the file; without a class there is one group, named after the folder.

    Args:
        pictures: the folder that the names in `image` are relative to.
        table: the CSV file, UTF-8.

    Raises:
        DatasetError: naming the line, when a column is missing, a figure is no whole number, a box is empty or outside
            its picture, or a picture is not there.
    """
    folder, table = needed_folder(pictures, "the folder of the pictures"), Path(table)
    reading = _Reading(folder, table)
    for line, row in _rows(table):
        try:
            reading.add(row)
        except DatasetError as error:
            raise DatasetError(f"{table}, line {line}: {error}") from error
    if not reading.boxes:
        raise DatasetError(f"{table}: has no row below its header; add one for each box")
    groups = [Group(name, reading.annotated(boxes)) for name, boxes in reading.boxes.items()]
    return DataSet(table.stem, tuple(groups), tuple(reading.notes()))


def picture_size(path: Path) -> Grid | None:
    """A picture's size after its EXIF turn, from its header alone; None where that cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            lies = image.getexif().get(ORIENTATION) in (5, 6, 7, 8)
            return Grid(image.width, image.height) if lies else Grid(image.height, image.width)
    except DAMAGE:  # a run lists such a picture and goes on
        return None


@dataclass
class _Reading:
    """What the rows so far have said."""

    folder: Path
    table: Path
    boxes: dict[str, dict[Path, list[Box]]] = field(default_factory=dict)
    sizes: dict[Path, Grid | None] = field(default_factory=dict)
    cut: int = 0

    def add(self, row: dict[str, str]) -> None:
        """Takes one row."""
        path = inside(self.folder, row["image"])
        if path not in self.sizes:
            if not is_file(path):
                raise DatasetError(f"there is no picture {path}; add it, or take the row out")
            self.sizes[path] = picture_size(path)
        group = row.get("class", row.get("group", self.folder.resolve().name)).strip()
        if not group or not group.isprintable():
            raise DatasetError(f"the class {group[:80]!r} is no name; write one")
        self.boxes.setdefault(group, {}).setdefault(path, []).append(self._box(row, self.sizes[path]))

    def _box(self, row: dict[str, str], size: Grid | None) -> Box:
        box = Box(*(_whole(row[side], side) for side in SIDES))
        if box.x1 <= box.x0 or box.y1 <= box.y0:
            raise DatasetError(f"the box {_told(box)} is empty; x0 < x1 and y0 < y1 are needed")
        if size is None:
            return box
        part = clipped(box, size)
        if part is None:
            raise DatasetError(
                f"the box {_told(box)} is outside its picture of {size.width}x{size.height} pixels; "
                "correct the row, or fetch the picture again"
            )
        self.cut += part != box
        return part

    def annotated(self, boxes: dict[Path, list[Box]]) -> tuple[Annotated, ...]:
        """The pictures of one group."""
        return tuple(Annotated(path, self.sizes[path], tuple(found)) for path, found in boxes.items())

    def notes(self) -> Iterator[str]:
        """What the user should know."""
        if self.cut:
            yield f"{counted(self.cut, 'box', 'boxes')} cut at the picture's border"
        left = len({self.folder / path for path in pictures_below(self.folder)} - self.sizes.keys())
        if left:
            yield f"{counted(left, 'picture')} of {self.folder} without a row in {self.table.name}: left out"


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number of each line that is not blank, and its cells by column."""
    reader = csv.reader(io.StringIO(read_text(table, LARGEST), newline=""), strict=True)
    try:
        header = _header(next(reader, []), table)
        for cells in reader:
            if len(cells) not in (0, len(header)):
                raise DatasetError(
                    f"{table}, line {reader.line_num}: has {len(cells)} cells, and the header has {len(header)}; "
                    "correct the row"
                )
            if cells:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DatasetError(f"{table}, line {reader.line_num}: is no CSV ({error})") from error


def _header(cells: list[str], table: Path) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    missing = [name for name in ("image", *SIDES) if name not in header]
    if missing:
        raise DatasetError(
            f"{table}, line 1: has no column {', '.join(missing)} in {','.join(header)[:120]!r}; "
            f"image,x0,y0,x1,y1 are needed"
        )
    known = [name for name in header if name in ("image", *SIDES, *GROUP_COLUMNS)]
    if len(set(known)) != len(known) or set(GROUP_COLUMNS) <= set(known):
        raise DatasetError(f"{table}, line 1: says one thing in two columns: {','.join(known)}")
    return header


def _whole(text: str, column: str) -> int:
    if not WHOLE_NUMBER.fullmatch(text):
        raise DatasetError(f"{column} is {text[:40]!r}, and a whole number of pixels is needed; correct the row")
    return int(text.split(".")[0])


def _told(box: Box) -> str:
    return f"{box.x0},{box.y0},{box.x1},{box.y1}"
