"""The folder of a search: results.json, search.html, contact_sheet.png and, with `--where`, overlays."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.errors import ImageError, UsageError
from dff_onnx.files import output_names, printable, write_atomically
from dff_onnx.images import read_original, read_size
from dff_onnx.records import Box
from dff_onnx.report.overlays import LONG_SIDE, Pixels, encode_png, overlay, painted
from dff_onnx.report.palette import colour
from dff_onnx.report.panels import shown_box, within
from dff_onnx.report.search_found import SearchFound, search_json
from dff_onnx.report.search_page import SIDE, search_page
from dff_onnx.report.search_tiles import Tile, search_sheet
from dff_onnx.runs.opened_index import FOLDER
from dff_onnx.runs.where import Located
from dff_onnx.store import VectorStore

OVERLAYS = "overlays"


def folder_of(store: VectorStore, given: Path | None = None) -> Path | None:
    """Where the pictures of an index are: as given, or as it says; None where nothing says it.

    Raises:
        UsageError: when what was given is no folder.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"{given}: is not a folder; give the one that the index was made of")
        return given
    kept = store.attachment(FOLDER)
    return None if kept is None else Path(os.fsdecode(kept))


def needed_folder_of(store: VectorStore, given: Path | None = None) -> Path:
    """As `folder_of`, for what cannot do without.

    Raises:
        UsageError: when nothing says it, or it is not there.
    """
    folder = folder_of(store, given)
    if folder is None:
        raise UsageError(f"{store.where}: does not say where its pictures are; name their folder with --folder")
    if not folder.is_dir():
        raise UsageError(f"{folder}: is where the index's pictures were and is no folder; name it with --folder")
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """How a picture is shown: with its boxes, and with the query's heat map, 1 at the peak, where there is one."""

    path: Path
    name: str
    heading: str
    boxes: tuple[Box | None, ...]
    heat: NDArray[np.float32] | None


def write_search(found: SearchFound, folder: Path, out: Path, located: Located | None = None) -> None:
    """Writes the files of a search.

    Args:
        found: the search.
        folder: of the index's pictures.
        out: a folder that is claimed.
        located: with `--where`: the query's concept in the pictures that could be read.

    Raises:
        OutputError: when a file cannot be written.
    """
    tiles = []
    shown = _all_shown(found, folder, located)
    files = output_names([Path(f"{number:04}-{one.path.name}") for number, one in enumerate(shown)], ".png")
    with single_threaded_blas():
        for one, file in zip(shown, files, strict=True):
            tile, drawn = _drawn(one)
            tiles.append(tile)
            if drawn is not None:
                write_atomically(out / OVERLAYS / file, encode_png(drawn))
    write_atomically(out / "contact_sheet.png", encode_png(search_sheet(tiles)))
    write_atomically(out / "search.html", search_page(found, tiles))
    write_atomically(out / "results.json", search_json(found))


def _all_shown(found: SearchFound, folder: Path, located: Located | None) -> list[_Shown]:
    """The query, then the results."""
    heats, query = dict[Path, NDArray[np.float32]](), None
    if located is not None:
        scaled = [heat / np.float32(located.peak or 1) for heat in located.heats]
        query = scaled[0]  # the query may be among the results: what is told of it as a query is its own
        heats = {one.path: heat for one, heat in zip(located.seen[1:], scaled[1:], strict=True)}
    # What was seen has one colour in all pictures; what was asked for, another.
    boxes = (found.query_box, found.query.box)
    first = _Shown(found.query.path, printable(found.query.path), "query", boxes, query)
    return [first] + [
        _Shown(path, printable(Path(one.path)), f"{one.rank}   {one.score:.3f}", (one.box,), heats.get(path))
        for path, one in ((folder / one.path, one) for one in found.results)
    ]


def _drawn(one: _Shown) -> tuple[Tile, Pixels | None]:
    """A picture for sheet and page, and its overlay."""
    try:
        picture, size = read_original(one.path, LONG_SIDE), read_size(one.path)
    except ImageError:
        return Tile(one.name, one.heading, None, (1, 1)), None
    original, heat = (size.height, size.width), one.heat
    if heat is None:
        return Tile(one.name, one.heading, picture, original, one.boxes), None
    boxes = [shown_box(box, original, picture) for box in one.boxes[:1]]
    drawn = overlay(picture, heat[None], [colour(0)], ["query"], "scale: query and results", boxes)
    small = painted(within(picture, SIDE), heat[None], [colour(0)])
    return Tile(one.name, one.heading, picture, original, one.boxes, small), drawn
