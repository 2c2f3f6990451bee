"""The pictures of a run shown: each is read again once, drawn over for its overlay, made small for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError, OutputError
from dff_onnx.files import output_names, write_atomically
from dff_onnx.images import read_original
from dff_onnx.progress import Progress
from dff_onnx.report.found import ImageFound
from dff_onnx.report.overlays import LONG_SIDE, encode_png
from dff_onnx.report.page.data import Entry
from dff_onnx.report.page.thumbs import SIDE
from dff_onnx.runs.images_file import with_overlays
from dff_onnx.runs.reporting import Pages, remove_pages
from dff_onnx.threads import available_cores, in_order

OVERLAYS = "overlays"
LEGENDS = {"set": "scale: whole set", "image": "scale: this picture"}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Overlays:
    """The overlays of a run.

    Attributes:
        many: how many pictures get one: the first so many.
        drawn: from a picture's number and pixels, 1024 on the longer side at most, to its overlay; threads call it.
    """

    many: int
    drawn: Callable[[int, Pixels], Pixels]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What was made of one picture: its overlay as a file's bytes, what the report has of it."""

    overlay: bytes | None
    entry: Entry | None


def show_pictures(
    folder: Path,
    paths: Sequence[Path],
    images: Sequence[ImageFound],
    out: Path,
    overlays: Overlays | None,
    pages: Pages | None,
    progress: Progress,
) -> Sequence[ImageFound]:
    """Writes the overlays and the report of a run, and removes what an earlier one has beyond them.

    Args:
        folder: that the paths are relative to.
        paths, images: of all pictures.
        out: the run's folder.
        overlays: which, and how they are drawn; None keeps those that the images have, as a tree does.
        pages: of the report; None for none.
        progress: follows the pictures.

    Returns:
        the images, with the paths of their overlays; a picture that can no longer be read has none.

    Raises:
        OutputError: when a file cannot be written.
    """
    many = overlays.many if overlays else 0
    names = [f"{OVERLAYS}/{name}" for name in output_names(paths, ".png")[:many]] if many else []
    if overlays:
        remove_others(out, names)
    remove_pages(out, pages.files if pages else ())
    reported = frozenset(pages.order if pages else ())
    order = [*(pages.order if pages else ()), *(i for i in range(many) if i not in reported)]
    if not order:
        return images

    def work(index: int) -> tuple[int, _Shown]:
        over = overlays if index < many else None
        picture = _read(folder / paths[index], LONG_SIDE if over else SIDE)
        content = encode_png(over.drawn(index, picture)) if over and picture is not None else None
        link = images[index].overlay if overlays is None else names[index] if content else None
        return index, _Shown(content, pages.entry(index, picture, link) if pages and index in reported else None)

    progress.start("drawing", len(order))
    drawn = dict[int, str]()
    with single_threaded_blas():
        for index, shown in in_order(order, work, available_cores()):
            if shown.overlay is not None:
                write_atomically(out / names[index], shown.overlay)
                drawn[index] = names[index]
            if pages and shown.entry is not None:
                pages.add(index, shown.entry)
            progress.advance()
    return with_overlays(images, drawn) if drawn else images


def _read(path: Path, long_side: int) -> Pixels | None:
    try:
        return read_original(path, long_side)
    except ImageError:
        return None


def remove_others(out: Path, names: Sequence[str]) -> None:
    """Overlays of pictures that are no longer in the folder."""
    kept = {out / name for name in names}
    try:
        for file in (out / OVERLAYS).rglob("*.png"):
            if file not in kept:
                file.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: an earlier overlay cannot be removed ({error.strerror})") from error
