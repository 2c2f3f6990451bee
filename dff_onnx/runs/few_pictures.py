"""A few pictures held in memory together, and those that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import ImageError
from dff_onnx.files import root_of
from dff_onnx.images import Resize, read_picture
from dff_onnx.report.found import Failure
from dff_onnx.runs.collect import none_usable
from dff_onnx.runs.discovery import failure_of


@dataclass(frozen=True, slots=True, eq=False)
class FewPictures:
    """Pictures of a folder.

    Attributes:
        paths: of those that were read, relative to the folder.
        pixels: of each, `(1, height, width, 3)` uint8.
        failures: those that were not.
    """

    paths: tuple[Path, ...]
    pixels: tuple[NDArray[np.uint8], ...]
    failures: tuple[Failure, ...]


def read_few(folder: Path, paths: Sequence[Path], resize: Resize) -> FewPictures:
    """Reads pictures one after the other.

    Args:
        folder: that `paths` are relative to, or the one picture.
        paths: as `walk_pictures` gives them.
        resize: of the pictures.

    Raises:
        NoImagesError: when not one can be used.
    """
    read, pixels, failures = list[Path](), list[NDArray[np.uint8]](), list[ImageError]()
    for path in paths:
        try:
            pixels.append(read_picture(root_of(folder) / path, resize).pixels[None])
            read.append(path)
        except ImageError as error:
            failures.append(ImageError(path, error.reason))
    if not read:
        raise none_usable(folder, failures)
    return FewPictures(tuple(read), tuple(pixels), tuple(map(failure_of, failures)))
