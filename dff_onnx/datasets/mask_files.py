"""Masks kept as PNG files: of whole objects, of one part a file, of parts by number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dff_onnx.datasets.dataset import PartMasks, Truth
from dff_onnx.datasets.paths import is_file, is_folder, read_text
from dff_onnx.errors import DatasetError
from dff_onnx.images.picture import DAMAGE
from dff_onnx.records import Grid

VOID = 255
MOST_PARTS = 254  # as many as a palette can tell apart, besides the background and the void
LARGEST_LEGEND = 2**20


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask in a PNG file of 1 bit, 8 bits grey, or a palette. 0 is the background.

    Attributes:
        path: the file.
        void: the value of pixels that do not count. None: 255 in a palette file (as PASCAL VOC has it), none in others
            (where 0 and 255 are what any program writes for off and on).
        value: the only value that is the object; None: all that are neither 0 nor void.
    """

    path: Path
    void: int | None = None
    value: int | None = None

    def read(self, size: Grid) -> Truth:
        """The mask of a picture of that size (after its EXIF turn).

        Raises:
            DatasetError: when the file is missing, damaged, no such PNG, or of another size.
        """
        values, has_palette = _read_values(self.path, size)
        mark = VOID if self.void is None and has_palette else self.void
        void = np.zeros(values.shape, bool) if mark is None else values == mark
        on = values != 0 if self.value is None else values == self.value
        return Truth(on & ~void, void)


@dataclass(frozen=True, slots=True)
class PartFolder:
    """One PNG file a part, named after it. None need be there: a picture's folder may be empty or missing."""

    folder: Path

    def read(self, size: Grid) -> PartMasks:
        """The parts by name; raises as `MaskFile.read`."""
        files = sorted(self.folder.glob("*.png")) if is_folder(self.folder) else []
        if len(files) > MOST_PARTS:
            raise DatasetError(f"{self.folder}: holds {len(files)} parts of one picture, more than {MOST_PARTS}")
        masks = [MaskFile(file).read(size).on for file in files]
        return PartMasks(tuple(file.stem for file in files), _stacked(masks, size))


@dataclass(frozen=True, slots=True)
class NumberedParts:
    """One PNG file whose values number the parts (0 none, 255 void unless it has a name)."""

    path: Path
    names: Mapping[int, str]

    def read(self, size: Grid) -> PartMasks:
        """The parts that have a pixel, by their numbers; raises as `MaskFile.read`, and for a number without name."""
        values, _ = _read_values(self.path, size)
        here = [int(value) for value in np.unique(values) if value and (value in self.names or value != VOID)]
        unknown = [value for value in here if value not in self.names]
        if unknown:
            raise DatasetError(
                f"{self.path}: has pixels of the value {unknown[0]}, which parts.json does not name; "
                "give that number a name"
            )
        return PartMasks(tuple(self.names[value] for value in here), _stacked([values == v for v in here], size))


def read_legend(path: Path) -> dict[int, str]:
    """The names of numbered parts: a JSON table such as `{"1": "head", "2": "trunk"}`.

    Raises:
        DatasetError: when it is no such table.
    """
    try:
        fields = json.loads(read_text(path, LARGEST_LEGEND))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is no JSON ({str(error)[:80]})") from error
    if not isinstance(fields, dict) or not all(_names_a_part(key, name) for key, name in fields.items()):
        raise DatasetError(f'{path}: is no table of numbers 1..255 and names, such as {{"1": "head", "2": "trunk"}}')
    if len(set(fields.values())) != len(fields) or len({int(key) for key in fields}) != len(fields):
        raise DatasetError(f"{path}: gives one name or number to two parts")
    return {int(key): name for key, name in fields.items()}


def _names_a_part(key: str, name: object) -> bool:
    number = int(key) if key.isascii() and key.isdigit() and len(key) <= 3 else 0
    return 1 <= number <= 255 and isinstance(name, str) and bool(name.strip()) and name.isprintable()


def _read_values(path: Path, size: Grid) -> tuple[NDArray[np.uint8], bool]:
    """The pixels as numbers, and whether a palette gives them colours. The size is checked before any is decoded."""
    if not is_file(path):
        raise DatasetError(f"{path}: there is no such mask; add it")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            _check(path, image, size)
            return np.asarray(image).astype(np.uint8), image.mode == "P"
    except UnidentifiedImageError as error:
        raise DatasetError(f"{path}: is no PNG file, and a mask must be one; save it as PNG") from error
    except DAMAGE as error:
        words = " ".join(str(error).split())[:120]
        raise DatasetError(
            f"{path}: the mask is damaged or cannot be read ({words}); fetch it again, or remove it and leave its "
            "picture out with --skip-missing"
        ) from error


def _check(path: Path, image: Image.Image, size: Grid) -> None:
    if (image.height, image.width) != (size.height, size.width):
        raise DatasetError(
            f"{path}: the mask has {image.width}x{image.height} pixels, and its picture has {size.width}x{size.height}"
            "; save it in the size of the picture (after its EXIF turn)"
        )
    if image.mode not in ("1", "L", "P"):
        raise DatasetError(f"{path}: the mask has the mode {image.mode}; save it as 1 bit, 8 bits grey or a palette")


def _stacked(masks: list[NDArray[np.bool_]], size: Grid) -> NDArray[np.bool_]:
    return np.stack(masks) if masks else np.zeros((0, size.height, size.width), bool)
