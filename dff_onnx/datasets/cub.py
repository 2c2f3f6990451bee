"""CUB-200-2011 (Wah et al. 2011): birds of 200 species, a train and a test set, a box around each bird."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dff_onnx.datasets.paths import inside, is_file, is_folder, needed_folder, read_text
from dff_onnx.errors import DatasetError
from dff_onnx.records import Box

FOLDER = "CUB_200_2011"
LARGEST = 64 * 2**20  # bytes of a list; those of the real set have less than a megabyte
MOST = 2_000_000  # pictures
FARTHEST = 1e6  # pixels
NAME = "CUB-200-2011"
REAL = (200, 5994, 5794)  # classes, pictures of its train and of its test set


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of a set for classification.

    Attributes:
        path: the file; it is there, but nobody looked inside.
        label: number of its class, from 0.
        train: whether it is of the train set; else it is of the test set.
        box: around the object, not yet cut at the picture's border.
    """

    path: Path
    label: int
    train: bool
    box: Box


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A set for classification.

    Attributes:
        name: of the set; of its folder where it is another set in the same layout.
        root: that all pictures lie below.
        classes: their names.
        pictures: in the order of the set's list.
    """

    name: str
    root: Path
    classes: tuple[str, ...]
    pictures: tuple[LabelledPicture, ...]


def read_cub(root: str | Path) -> LabelledSet:
    """Reads `images.txt`, `image_class_labels.txt`, `classes.txt`, `train_test_split.txt` and `bounding_boxes.txt`.

    Each line begins with a picture's number (a class's in `classes.txt`). Boxes are `x y width height`, floats; a box
    here is the least half-open one of whole pixels around it. Any set in this layout is read, of any size.

    Args:
        root: the folder of these lists and of `images`, or the one that holds it as `CUB_200_2011`.

    Raises:
        DatasetError: naming the file and line, when a list is missing, malformed, names a picture twice or not at all,
            or names one that is not there; and when a class has no picture in the train set, or the test set is empty.
    """
    base = needed_folder(root, "the folder of CUB-200-2011")
    if is_folder(base / FOLDER):
        base = base / FOLDER
    classes = _table(base / "classes.txt")
    places = {number: place for place, number in enumerate(classes)}
    files = _table(base / "images.txt")
    labels = _of_each(base / "image_class_labels.txt", files)
    train = _of_each(base / "train_test_split.txt", files)
    boxes = _of_each(base / "bounding_boxes.txt", files)
    pictures = tuple(
        LabelledPicture(
            _picture(base, name.text, base / "images.txt", name.line),
            _label(labels[number], places, base / "image_class_labels.txt"),
            _flag(train[number], base / "train_test_split.txt"),
            _box(boxes[number], base / "bounding_boxes.txt"),
        )
        for number, name in files.items()
    )
    names = tuple(name.text for name in classes.values())
    _check_sets(base, pictures, names)
    trained = sum(picture.train for picture in pictures)
    real = (len(names), trained, len(pictures) - trained) == REAL
    return LabelledSet(NAME if real else base.resolve().name, base, names, pictures)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What stands behind a number, and in which line."""

    text: str
    line: int


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """The number of each line that is not blank, its first word and the rest."""
    for line, text in enumerate(read_text(path, LARGEST).splitlines(), 1):
        if text.strip():
            first, _, rest = text.strip().partition(" ")
            yield line, first, rest.strip()


def _table(path: Path) -> dict[str, _Entry]:
    """A list by its numbers, in its order."""
    found: dict[str, _Entry] = {}
    for line, number, rest in _lines(path):
        if not (number.isascii() and number.isdigit() and len(number) <= 9):
            raise DatasetError(f"{path}, line {line}: begins with {number[:40]!r}, and a number is needed; correct it")
        if not rest or not rest.isprintable():
            raise DatasetError(f"{path}, line {line}: has {rest[:80]!r} behind the number {number}; correct it")
        if number in found:
            raise DatasetError(f"{path}, line {line}: has the number {number} a second time; take one out")
        found[number] = _Entry(rest, line)
        if len(found) > MOST:
            raise DatasetError(f"{path}: has more than {MOST} lines, which no such set has")
    if not found:
        raise DatasetError(f"{path}: is empty; fetch it again")
    return found


def _of_each(path: Path, files: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """A list that says something of every picture and of no other."""
    found = _table(path)
    for number in files:
        if number not in found:
            raise DatasetError(f"{path}: says nothing of picture {number}; add it, or fetch the file again")
    for number, entry in found.items():
        if number not in files:
            raise DatasetError(f"{path}, line {entry.line}: speaks of picture {number}, which images.txt does not name")
    return found


def _picture(base: Path, name: str, source: Path, line: int) -> Path:
    path = inside(base / "images", name, source)
    if not is_file(path):
        raise DatasetError(f"{source}, line {line}: there is no picture {path}; fetch the set again")
    return path


def _label(entry: _Entry, places: Mapping[str, int], path: Path) -> int:
    if entry.text not in places:
        raise DatasetError(f"{path}, line {entry.line}: names the class {entry.text[:40]!r}, which classes.txt has not")
    return places[entry.text]


def _flag(entry: _Entry, path: Path) -> bool:
    if entry.text not in ("0", "1"):
        raise DatasetError(f"{path}, line {entry.line}: has {entry.text[:40]!r}, and 1 (train) or 0 (test) is needed")
    return entry.text == "1"


def _box(entry: _Entry, path: Path) -> Box:
    try:
        x, y, width, height = map(float, entry.text.split())
    except ValueError as error:
        raise DatasetError(f"{path}, line {entry.line}: has {entry.text[:80]!r}, and x y w h are needed") from error
    if not all(abs(value) <= FARTHEST for value in (x, y, width, height)) or width <= 0 or height <= 0:
        raise DatasetError(f"{path}, line {entry.line}: the box {entry.text[:80]} cannot be; correct it")
    return Box(math.floor(x), math.floor(y), math.ceil(x + width), math.ceil(y + height))


def _check_sets(base: Path, pictures: tuple[LabelledPicture, ...], classes: tuple[str, ...]) -> None:
    trained = {picture.label for picture in pictures if picture.train}
    if len(classes) < 2:
        raise DatasetError(f"{base / 'classes.txt'}: names one class; two at least are needed to be told apart")
    if len(trained) < len(classes):
        lost = next(name for number, name in enumerate(classes) if number not in trained)
        raise DatasetError(f"{base / 'train_test_split.txt'}: the train set has no picture of the class {lost[:80]!r}")
    if all(picture.train for picture in pictures):
        raise DatasetError(f"{base / 'train_test_split.txt'}: leaves no picture for the test set")
