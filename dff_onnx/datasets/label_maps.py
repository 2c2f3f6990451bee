"""Pictures whose every region has a name: a PNG of numbers beside each, and a list that names the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dff_onnx.datasets.paths import inside, is_file, needed_folder, read_text
from dff_onnx.errors import DatasetError
from dff_onnx.images.picture import DAMAGE
from dff_onnx.records import Grid

NONE = (0, 255)  # numbers of no region: unlabelled, and void as PASCAL VOC writes it
LARGEST_NAMES = 2**20


@dataclass(frozen=True, slots=True)
class LabelMaps:
    """A folder of label maps.

    Attributes:
        folder: of the PNG files, in the tree of the pictures.
        names: of the numbers 1 to 254.
    """

    folder: Path
    names: dict[int, str]

    def file(self, picture: str) -> Path | None:
        """The label map of a picture named by its path below the pictures' folder; None where there is none.

        Raises:
            DatasetError: when the path leads outside.
        """
        path = inside(self.folder, picture).with_suffix(".png")
        return path if is_file(path) else None

    def read(self, path: Path, size: Grid) -> NDArray[np.uint8]:
        """The numbers `(H, W)` of a picture of that size (after its EXIF turn); 0 where nothing is labelled.

        Raises:
            DatasetError: when the file is damaged, no such PNG, of another size, or has a number without a name.
        """
        values = _values(path, size)
        values[values == NONE[1]] = NONE[0]
        unknown = [int(value) for value in np.unique(values) if value and int(value) not in self.names]
        if unknown:
            raise DatasetError(f"{path}: has pixels of the number {unknown[0]}, which has no name; give it one")
        return values


def read_label_maps(folder: str | Path, names: str | Path) -> LabelMaps:
    """Opens label maps.

    Args:
        folder: `G/P.png` for the picture `G/P.jpg`: 8 bits grey or a palette, a number a region, 0 and 255 for none.
        names: a text with a line for each number: `3 dining table`.

    Raises:
        DatasetError: when there is no such folder, or the names are missing or malformed.
    """
    found: dict[int, str] = {}
    path = Path(names)
    for line, text in enumerate(read_text(path, LARGEST_NAMES).splitlines(), 1):
        number, _, name = text.strip().partition(" ")
        if not number:
            continue
        known = int(number) if number.isascii() and number.isdigit() and len(number) <= 3 else 0
        if not 1 <= known <= 254 or not name.strip() or not name.isprintable():
            raise DatasetError(f"{path}, line {line}: has {text[:80]!r}, and a number 1 to 254 and a name are needed")
        if known in found or name.strip() in found.values():
            raise DatasetError(f"{path}, line {line}: gives one number or name twice; correct it")
        found[known] = name.strip()
    if not found:
        raise DatasetError(f"{path}: names no label; write lines such as `3 dining table`")
    return LabelMaps(needed_folder(folder, "the folder of label maps"), found)


def _values(path: Path, size: Grid) -> NDArray[np.uint8]:
    """The pixels as numbers. The size is checked before any is decoded."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size != (size.width, size.height):
                raise DatasetError(
                    f"{path}: the label map has {image.width}x{image.height} pixels, and its picture has "
                    f"{size.width}x{size.height}; save it in the size of the picture (after its EXIF turn)"
                )
            packed = image.tile[0][3] if image.tile else image.mode
            # Pillow would spread fewer bits of grey over 0..255.
            if image.mode not in ("L", "P") or (image.mode == "L" and packed != "L"):
                raise DatasetError(f"{path}: the label map has the mode {packed}; save 8 bits grey or a palette")
            return np.array(image, np.uint8)
    except UnidentifiedImageError as error:
        raise DatasetError(f"{path}: is no PNG file, and a label map must be one; save it as PNG") from error
    except DAMAGE as error:
        words = " ".join(str(error).split())[:120]
        raise DatasetError(f"{path}: the label map is damaged or cannot be read ({words}); fetch it again") from error
