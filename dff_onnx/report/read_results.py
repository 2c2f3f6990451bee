"""`results.json` read back. It may have been damaged, or made to do harm: every field is judged as it is read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.images.picture import MAX_PIXELS
from dff_onnx.records import Box, Fingerprint, Grid, Preprocessing, Region
from dff_onnx.report.figures import AppliedFound, ClassMapsFound
from dff_onnx.report.found import (
    Answer,
    ClassWeight,
    ConceptFound,
    ConceptInImage,
    Failure,
    Fit,
    Found,
    ImageFound,
    LikeFound,
    Scale,
)
from dff_onnx.report.results import SCHEMA

LARGEST = 2 * 2**30  # bytes of the file: a million pictures have about 1 GB
MOST_CELLS = 2**26  # of a grid
MOST_ROWS = 2**53
BIGGEST = 3.4028235e38  # what float32 holds


@dataclass(frozen=True, slots=True)
class Results:
    """A run's `results.json`.

    Attributes:
        found: what it says.
        document: the JSON as it is, its keys in their order; also with fields that this version does not know.
    """

    found: Found
    document: dict[str, Any]


def read_results(path: Path) -> Results:
    """Reads a run's results.

    Raises:
        RefusedError: naming the file, the field and what was found there.
    """
    document = read_json(path, LARGEST)
    return Results(_Reader(path).found(document), document)


def read_json(path: Path, largest: int) -> Any:
    """The JSON in a file of at most so many bytes, strict: no NaN, no key twice.

    Raises:
        RefusedError: when there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
        if len(data) > largest:
            raise RefusedError(f"{path}: has more than {largest} bytes, which cannot be; give another file")
        return json.loads(data, parse_constant=_no_number, object_pairs_hook=_table)
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: is damaged: no JSON ({str(error)[:120]}); make it again") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands there twice")
    return table


@dataclass(frozen=True, slots=True)
class _Reader:
    """The file that a message must name."""

    path: Path

    def found(self, document: Any) -> Found:
        """The whole document."""
        schema = document.get("schema") if isinstance(document, dict) else document
        if schema != SCHEMA:
            self._refuse("schema", schema, repr(SCHEMA))
        scale: Scale = self._field(document, "scale", lambda v: v in ("set", "image"), "'set' or 'image'")
        concepts = self._concepts(document, "concepts")
        class_maps = self._class_maps(document)
        if bool(concepts) != (scale == "set" and class_maps is None):
            self._refuse("concepts", len(concepts), "one at least, or none with --per-image and of class maps,")
        images = tuple(self._image(image, concepts) for image in self._list(document, "images"))
        if class_maps is None and any(
            one.energy is None for table in (concepts, *(i.table for i in images)) for one in table
        ):
            self._refuse("energy", None, "a number, but for class maps,")
        return Found(
            fingerprint=self._fingerprint(document),
            device=self._text(document, "device"),
            scale=scale,
            fit=self._fit(document),
            concepts=concepts,
            images=images,
            failures=tuple(
                Failure(self._text(one, "path"), self._text(one, "reason")) for one in self._list(document, "failures")
            ),
            class_maps=class_maps,
            applied=self._applied(document["applied"]) if "applied" in document else None,
        )

    def _applied(self, table: Any) -> AppliedFound:
        digest = self._field(table, "bank_sha256", _is_sha256, "64 digits of a sha256")
        usual, limit = (None if table.get(key, 0) is None else self._number(table, key) for key in ("usual", "limit"))
        return AppliedFound(digest, usual, limit)

    def _class_maps(self, document: Any) -> ClassMapsFound | None:
        if "class_maps" not in document:
            return None
        table = document["class_maps"]
        return ClassMapsFound(
            self._text(table, "method"),
            self._integer(table, "classes", 1, MOST_ROWS),
            self._text(table, "names"),
            self._text(table, "box"),
        )

    def _image(self, image: Any, shared: tuple[ConceptFound, ...]) -> ImageFound:
        size = self._size(image, "size", MAX_PIXELS)
        table = () if shared else self._concepts(image, "table")
        here = self._list(image, "concepts")
        if len(here) != len(table or shared) or not here:
            self._refuse("concepts of an image", len(here), f"{len(table or shared)} entries")
        return ImageFound(
            path=self._path(image),
            size=size,
            input=self._size(image, "input", MAX_PIXELS),
            grid=self._size(image, "grid", MOST_CELLS),
            concepts=tuple(self._in_image(one, number, size) for number, one in enumerate(here)),
            fit=None if shared else self._fit(image),
            table=table,
            overlay=self._field(image, "overlay", lambda v: v is None or isinstance(v, str), "a path or null"),
            answers=tuple(self._answer(one) for one in self._list(image, "answers")) if "answers" in image else (),
            loss=self._number(image, "loss") if "loss" in image else None,
        )

    def _answer(self, answer: Any) -> Answer:
        return Answer(
            self._integer(answer, "class", 0, MOST_ROWS),
            self._text(answer, "name"),
            self._number(answer, "score", BIGGEST, -BIGGEST),
            self._number(answer, "probability", 1),
        )

    def _path(self, image: Any) -> str:
        """Relative, and not out of its folder: files are written under it."""
        text = self._text(image, "path")
        path = PurePosixPath(text)
        good = path.name and not path.is_absolute() and ".." not in path.parts and "\0" not in text
        if not good or any("\ud800" <= character <= "\udfff" for character in text):
            self._refuse("path", text, "one below the folder of pictures")
        return text

    def _in_image(self, here: Any, number: int, size: Grid) -> ConceptInImage:
        self._numbered(here, "concept", number)
        regions = tuple(self._region(region, size) for region in self._list(here, "regions"))
        return ConceptInImage(number, self._number(here, "score", 1), self._number(here, "share", 1), regions)

    def _region(self, region: Any, size: Grid) -> Region:
        corners = self._list(region, "box")
        if len(corners) != 4 or not all(type(corner) is int for corner in corners):
            self._refuse("box", corners, "x0, y0, x1, y1")
        box = Box(*corners)
        if not (0 <= box.x0 < box.x1 <= size.width and 0 <= box.y0 < box.y1 <= size.height):
            self._refuse("box", corners, f"one inside {size.width} x {size.height} pixels")
        return Region(box, self._integer(region, "area", 1, size.cells))

    def _concepts(self, table: Any, key: str) -> tuple[ConceptFound, ...]:
        return tuple(self._concept(concept, number) for number, concept in enumerate(self._list(table, key)))

    def _concept(self, concept: Any, number: int) -> ConceptFound:
        self._numbered(concept, "number", number)
        return ConceptFound(
            number=number,
            name=self._field(concept, "name", lambda v: v is None or isinstance(v, str), "a text or null"),
            colour=self._field(concept, "colour", _is_colour, "#rrggbb"),
            energy=self._energy(concept),
            threshold=self._number(concept, "threshold"),
            peak=self._number(concept, "peak"),
            classes=tuple(map(self._weight, self._list(concept, "classes"))) if "classes" in concept else (),
            class_number=self._integer(concept, "class", 0, MOST_ROWS) if "class" in concept else None,
            like=self._like(concept["like"]) if "like" in concept else None,
        )

    def _like(self, like: Any) -> LikeFound:
        return LikeFound(self._integer(like, "concept", 0, MOST_ROWS), self._number(like, "cosine", 1))

    def _energy(self, concept: Any) -> float | None:
        """Null for a class map."""
        return None if concept.get("energy", 0) is None else self._number(concept, "energy", 1.001)

    def _weight(self, spoken: Any) -> ClassWeight:
        number, name = self._integer(spoken, "class", 0, MOST_ROWS), self._text(spoken, "name")
        return ClassWeight(number, name, self._number(spoken, "weight", BIGGEST, -BIGGEST))

    def _fingerprint(self, document: Any) -> Fingerprint:
        mark = self._field(document, "fingerprint", lambda v: isinstance(v, dict), "a table")
        fields = self._field(mark, "preprocessing", lambda v: isinstance(v, dict), "a table")
        try:
            preprocessing = Preprocessing.from_dict(fields)
        except (UsageError, ArithmeticError) as error:
            raise RefusedError(f"{self.path}: its {str(error)[:120]}; make the run again") from error
        return Fingerprint(self._text(mark, "model_sha256"), self._text(mark, "layer"), preprocessing)

    def _fit(self, table: Any) -> Fit | None:
        fit = self._field(table, "fit", lambda v: v is None or isinstance(v, dict), "a table or null")
        if fit is None:
            return None
        return Fit(
            k=self._integer(fit, "k", 1, MOST_ROWS),
            rows=self._integer(fit, "rows", 0, MOST_ROWS),
            channels=self._integer(fit, "channels", 0, MOST_ROWS),
            solver=self._text(fit, "solver"),
            seed=self._integer(fit, "seed", -(2**63), 2**64),
            start=self._text(fit, "start"),
            loss=self._number(fit, "loss", BIGGEST, -BIGGEST),
            reconstruction_err=self._number(fit, "reconstruction_err"),
            kkt=self._number(fit, "kkt"),
            spread=self._number(fit, "spread"),
            n_iter=self._integer(fit, "n_iter", 0, MOST_ROWS),
            converged=self._field(fit, "converged", lambda v: isinstance(v, bool), "true or false"),
            stopped=self._text(fit, "stopped"),
        )

    def _size(self, table: Any, key: str, most: int) -> Grid:
        size = self._field(table, key, lambda v: isinstance(v, dict), "a width and a height")
        grid = Grid(self._integer(size, "height", 1, most), self._integer(size, "width", 1, most))
        if grid.cells > most:
            self._refuse(key, f"{grid.width} x {grid.height}", f"at most {most} in all")
        return grid

    def _numbered(self, table: Any, key: str, number: int) -> None:
        self._field(table, key, lambda v: type(v) is int and v == number, str(number))

    def _integer(self, table: Any, key: str, least: int, most: int) -> int:
        wanted = f"a whole number from {least} to {most}"
        return int(self._field(table, key, lambda v: type(v) is int and least <= v <= most, wanted))

    def _number(self, table: Any, key: str, most: float = BIGGEST, least: float = 0.0) -> float:
        wanted = f"a number from {least:g} to {most:g}"
        return float(self._field(table, key, lambda v: _is_number(v) and least <= v <= most, wanted))

    def _text(self, table: Any, key: str) -> str:
        return str(self._field(table, key, lambda v: isinstance(v, str), "a text"))

    def _list(self, table: Any, key: str) -> list[Any]:
        found: list[Any] = self._field(table, key, lambda v: isinstance(v, list), "a list")
        return found

    def _field(self, table: Any, key: str, good: Callable[[Any], bool], wanted: str) -> Any:
        if not isinstance(table, dict) or key not in table:
            self._refuse(key, table, f"a table with {key!r}")
        if not good(table[key]):
            self._refuse(key, table[key], wanted)
        return table[key]

    def _refuse(self, field: str, found: Any, wanted: str) -> NoReturn:
        raise RefusedError(
            f"{self.path}: is damaged, or no results of a run: {field} is {_short(found)}, and {wanted} is needed; "
            "make the run again"
        )


def _short(value: Any) -> str:
    try:
        text = ascii(value)  # hostile text may turn a terminal's line around
    except (ValueError, RecursionError):
        text = f"a large {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_colour(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("#[0-9a-f]{6}", value) is not None
