"""The overlays of a run: pictures read again, drawn over, written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError, OutputError
from dff_onnx.files import output_names, write_atomically
from dff_onnx.images import prefetch, read_original
from dff_onnx.progress import Progress
from dff_onnx.report.found import ImageFound
from dff_onnx.report.overlays import LONG_SIDE, encode_png

OVERLAYS = "overlays"
LEGENDS = {"set": "scale: whole set", "image": "scale: this picture"}

Pixels = NDArray[np.uint8]


def draw_overlays(
    folder: Path,
    paths: Sequence[Path],
    images: Sequence[ImageFound],
    many: int,
    out: Path,
    drawn: Callable[[int, Pixels], Pixels],
    progress: Progress,
) -> tuple[ImageFound, ...]:
    """Draws the first so many pictures of a run, and removes overlays of pictures that are no longer in it.

    Args:
        folder: that the paths are relative to.
        paths, images: of all pictures.
        many: how many to draw.
        out: the run's folder.
        drawn: from a picture's number and pixels, 1024 on the longer side at most, to its overlay.
        progress: follows the pictures.

    Returns:
        the images, with the paths of their overlays; a picture that can no longer be read has none.
    """
    names = [f"{OVERLAYS}/{name}" for name in output_names(paths, ".png")[:many]]
    _remove_others(out, names)
    if not many:
        return tuple(images)
    progress.start("drawing", many)
    done = list(images)
    with single_threaded_blas():
        for index, picture in _pictures(folder, paths, many):
            write_atomically(out / names[index], encode_png(drawn(index, picture)))
            done[index] = replace(images[index], overlay=names[index])
            progress.advance()
    return tuple(done)


def _pictures(folder: Path, paths: Sequence[Path], many: int) -> Iterator[tuple[int, Pixels]]:
    """The pictures again, read ahead."""

    def read(index: int) -> Pixels:
        return read_original(folder / paths[index], LONG_SIDE)

    for index, picture in prefetch(range(many), read):
        if not isinstance(picture, ImageError):
            yield index, picture


def _remove_others(out: Path, names: Sequence[str]) -> None:
    """Overlays of pictures that are no longer in the folder."""
    kept = {out / name for name in names}
    try:
        for file in (out / OVERLAYS).rglob("*.png"):
            if file not in kept:
                file.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: an earlier overlay cannot be removed ({error.strerror})") from error
