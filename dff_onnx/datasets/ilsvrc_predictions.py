"""Guesses at the pictures of ILSVRC: the text that the challenge takes, and `predictions.csv` of `dff-onnx cam`."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dff_onnx.datasets.ilsvrc import Ilsvrc
from dff_onnx.datasets.ilsvrc_files import FIELDS, labelled_boxes
from dff_onnx.datasets.paths import is_file, is_folder, read_text
from dff_onnx.errors import DatasetError, UsageError
from dff_onnx.records import Box

PREDICTIONS = "predictions.csv"
COLUMNS = ("image", "rank", "class", "label", "name", "score", "probability", "x0", "y0", "x1", "y1")
LARGEST = 512 * 2**20
GUESSES = 5  # that the challenge looks at
WHOLE = re.compile("-?[0-9]{1,9}")

Guesses = Mapping[str, tuple[tuple[str, Box | None], ...]]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was guessed.

    Attributes:
        path: of the file.
        guesses: at each picture (its name without folder and suffix) labels and boxes, the surest first.
    """

    path: Path
    guesses: Guesses


def read_predictions(path: str | Path, dataset: Ilsvrc) -> Predictions:
    """Reads `predictions.csv` or the challenge's text; which of them it is, its first line says.

    The text has a line for each picture, in the order of their names: up to five times `label xmin ymin xmax ymax`,
    inclusive pixels, the surest first; a label is ILSVRC's own number or a synset. More than five are not looked at, an
    empty line guesses nothing, and so does a label 0. Fractions of pixels are rounded.

    Args:
        path: of the file, or of the folder of a run that has `predictions.csv`.
        dataset: what the guesses are at.

    Raises:
        UsageError: when there is no such file.
        DatasetError: naming the line, or when the text has not one line for each picture.
    """
    path = Path(path)
    if is_folder(path):
        path = path / PREDICTIONS
        if not is_file(path):
            raise UsageError(f"{path.parent}: holds no {PREDICTIONS}; give the output folder of `dff-onnx cam`")
    if not is_file(path):
        raise UsageError(f"{path}: there is no such file; give {PREDICTIONS}, or the challenge's text")
    text = read_text(path, LARGEST)
    guesses = _table(path, text) if text.startswith("image,") else _lines(path, text, dataset)
    if not guesses:
        raise DatasetError(f"{path}: guesses nothing; give the predictions of another run")
    return Predictions(path, guesses)


def _lines(path: Path, text: str, dataset: Ilsvrc) -> Guesses:
    lines = text.split("\n")
    if not lines[-1].strip():
        lines.pop()
    if len(lines) != len(dataset.pictures):
        raise DatasetError(
            f"{path}: has {len(lines)} lines, and {dataset.name} has {len(dataset.pictures)} pictures; a line for each "
            "is needed, in the order of their names"
        )
    found = {}
    for number, (picture, line) in enumerate(zip(dataset.pictures, lines, strict=True), 1):
        try:
            found[picture.name] = _guessed(line.split(), dataset)
        except DatasetError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
    return found


def _guessed(words: Sequence[str], dataset: Ilsvrc) -> tuple[tuple[str, Box | None], ...]:
    if len(words) % FIELDS:
        raise DatasetError(f"has {len(words)} fields, and label xmin ymin xmax ymax are needed for each guess")
    kept: list[str] = []
    for at in range(0, min(len(words), GUESSES * FIELDS), FIELDS):
        if not re.fullmatch("0+", words[at]):  # MATLAB fills lines up with zeros
            kept += [_synset(words[at], dataset), *words[at + 1 : at + FIELDS]]
    return tuple((one.label, one.box) for one in labelled_boxes(kept))


def _synset(label: str, dataset: Ilsvrc) -> str:
    if not re.fullmatch("[0-9]{1,7}", label):
        return label
    if not dataset.synsets:
        raise DatasetError(f"guesses the class {label} by number, and map_clsloc.txt is needed; give it with --truth")
    if int(label) not in dataset.synsets:
        raise DatasetError(f"guesses the class {label}, which map_clsloc.txt has not; numbers count from 1")
    return dataset.synsets[int(label)]


def _table(path: Path, text: str) -> Guesses:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: dict[str, str] = {}
    found: dict[str, list[tuple[str, Box | None]]] = {}
    try:
        if tuple(next(reader, [])) != COLUMNS:
            raise DatasetError(f"has other columns than {','.join(COLUMNS)}; give a file of `dff-onnx cam`")
        for cells in reader:
            if cells:
                _add(cells, names, found)
    except (csv.Error, DatasetError) as error:
        raise DatasetError(f"{path}, line {max(1, reader.line_num)}: {error}") from error
    return {name: tuple(guesses) for name, guesses in found.items()}


def _add(cells: Sequence[str], names: dict[str, str], found: dict[str, list[tuple[str, Box | None]]]) -> None:
    """Takes one row."""
    if len(cells) != len(COLUMNS):
        raise DatasetError(f"has {len(cells)} cells, and {len(COLUMNS)} are needed")
    row = dict(zip(COLUMNS, cells, strict=True))
    image, label = _text(row["image"]), _text(row["label"])
    name = PurePosixPath(image).stem
    if not name or not label:
        raise DatasetError("has no image or no label; make the file again")
    if names.setdefault(name, image) != image:
        raise DatasetError(f"{names[name][:60]!r} and {image[:60]!r} have one name; give each picture its own")
    guesses = found.setdefault(name, [])
    if _whole(row, "rank") != len(guesses) + 1:
        raise DatasetError(f"the rank is {row['rank'][:20]}, and {len(guesses) + 1} is the next of its picture")
    if _whole(row, "class") < 0:
        raise DatasetError(f"the class is {row['class'][:20]}, and a number from 0 is needed")
    _number(row, "score", math.inf)
    _number(row, "probability", 1.0)
    guesses.append((label, _box(row)))


def _box(row: Mapping[str, str]) -> Box | None:
    corners = [row[side] for side in COLUMNS[-4:]]
    if not any(corners):
        return None
    box = Box(*(_whole(row, side) for side in COLUMNS[-4:]))
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise DatasetError(f"the box {','.join(corners)} is empty; x0 < x1 and y0 < y1 are needed")
    return box


def _text(cell: str) -> str:
    """A text as it was before an apostrophe kept spreadsheets from taking it for a formula."""
    return cell.removeprefix("'")


def _whole(row: Mapping[str, str], column: str) -> int:
    if not WHOLE.fullmatch(row[column]):
        raise DatasetError(f"{column} is {row[column][:40]!r}, and a whole number is needed")
    return int(row[column])


def _number(row: Mapping[str, str], column: str, most: float) -> None:
    """Judges a figure that nothing is made of here; it may be missing."""
    try:
        figure = float(row[column] or 0)
    except ValueError:
        figure = math.nan
    if not math.isfinite(figure) or abs(figure) > most:
        raise DatasetError(f"{column} is {row[column][:40]!r}, and a number is needed")
