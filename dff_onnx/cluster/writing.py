"""A run's files: overlays by the workers, all else by the driver from figures, a part's heat maps at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array
from dff_onnx.cluster.finding import Discovered, host_H
from dff_onnx.cluster.home import Home
from dff_onnx.cluster.pictures import original
from dff_onnx.cluster.reading import Spread
from dff_onnx.cluster.storage import put
from dff_onnx.concepts.bank import bank_bytes
from dff_onnx.files import output_names, write_atomically
from dff_onnx.maps import heat_map, offsets
from dff_onnx.progress import Progress
from dff_onnx.report.found import Found, ImageFound
from dff_onnx.report.maps_file import Maps
from dff_onnx.report.overlays import LONG_SIDE, encode_png
from dff_onnx.report.page.data import Entry, entry_of
from dff_onnx.report.page.layout import Level, Report
from dff_onnx.report.page.thumbs import SIDE
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.drawing import OVERLAYS
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.reporting import Pages, label_command, remove_pages, report_of
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.write import drawn, made_by, quality_of, write_findings


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a worker made of one picture.

    Attributes:
        overlay: whether it was written.
        entry: what the report has of it, None where it is in no report.
    """

    overlay: bool
    entry: Entry | None


def write_run(
    spread: Spread, made: Discovered, settings: Settings, home: Home, tables: dict[str, Any], progress: Progress
) -> Found:
    """Writes all files; those of the driver go to `home.local`.

    Args:
        spread: the pictures, their heat maps on the workers.
        made: what was found.
        settings: of the run.
        home: where.
        tables: of `run.toml`, those that say what went in.
        progress: follows the pictures that are drawn.

    Returns:
        what was found, its images with the paths of their overlays.

    Raises:
        OutputError: when a file cannot be written.
    """
    found, tables = made.found, tables | quality_of(made.found)
    total = len(found.images)
    many, shown = settings.overlays_of(total), settings.reported_of(total)
    pages = _pages(found, shown, home, tables) if shown else None
    remove_pages(home.local, pages.files if pages else ())
    names = [f"{OVERLAYS}/{name}" for name in output_names([one.path for one in spread.pictures], ".png")[:many]]
    progress.start("drawing", total)
    done = _all_drawn(spread, made, settings, home, names, pages, progress)
    images = tuple(
        replace(image, overlay=names[index] if index < many and done[index].overlay else None)
        for index, image in enumerate(found.images)
    )
    if pages:
        entries = {index: one.entry for index, one in done.items() if one.entry is not None}
        for index in pages.order:
            pages.add(index, entries[index])
    found = replace(found, images=images)
    bank = _discovery(found, spread.pictures, settings, made.W, np.zeros((0, len(made.W)), np.float32)).bank()
    if bank is not None:
        write_atomically(home.local / "bank.npz", bank_bytes(bank))
    write_findings(found, _all_maps(spread), home.local, tables)
    return found


def _pages(found: Found, shown: int, home: Home, tables: dict[str, Any]) -> Pages:
    nothing = np.zeros((len(found.concepts), 1, 1), np.float32)  # pictures' entries, with their maps, come from workers
    level = Level(found, lambda _: nothing, label_command(found))
    return Pages(report_of(home.title, [level], shown, tables | made_by(found)), home.local)


def _all_maps(spread: Spread) -> Iterator[Maps]:
    """Heat maps of all pictures, fetched a few parts at a time."""
    return chain.from_iterable(spread.rows.each_of_coefficients(part_maps, spread.seen))


def part_maps(Ht: Array, seen: Sequence[Seen]) -> list[Maps]:
    """The heat maps of a part's pictures."""
    H, grids = host_H(Ht), [one.grid for one in seen]
    return [np.ascontiguousarray(heat_map(H, a, grid)) for a, grid in zip(offsets(grids), grids, strict=False)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be drawn of a part: its pictures, the names of their overlays (None for none), who is reported."""

    seen: Sequence[Seen]
    images: Sequence[ImageFound]
    names: Sequence[str | None]
    reported: Sequence[bool]


def _all_drawn(
    spread: Spread,
    made: Discovered,
    settings: Settings,
    home: Home,
    names: Sequence[str],
    pages: Pages | None,
    progress: Progress,
) -> dict[int, Drawn]:
    """What became of each picture, by its number."""
    reported, budget = (frozenset(pages.order), pages.budget) if pages else (frozenset[int](), 0)
    wanted = [
        _Wanted(
            seen,
            made.found.images[numbers.start : numbers.stop],
            [names[i] if i < len(names) else None for i in numbers],
            [i in reported for i in numbers],
        )
        for seen, numbers in zip(spread.seen, spread.places, strict=True)
    ]
    common = replace(made.found, images=(), failures=())
    work = partial(
        part_drawn, common=common, W=made.W, settings=settings, folder=home.folder, out=home.out, budget=budget
    )
    done: dict[int, Drawn] = {}
    for numbers, part in zip(spread.places, spread.rows.each_of_coefficients(work, wanted), strict=True):
        done |= dict(zip(numbers, part, strict=True))
        progress.advance(len(numbers))
    return done


def part_drawn(
    Ht: Array,
    wanted: _Wanted,
    common: Found,
    W: NDArray[np.float32],
    settings: Settings,
    folder: str,
    out: str,
    budget: int,
) -> list[Drawn]:
    """Draws and writes the overlays of a part, and makes what the report has of its pictures.

    Not the pixels travel: of a photograph the report has some 25 kB, a tenth of them.
    """
    discovery = _discovery(replace(common, images=wanted.images), wanted.seen, settings, W, host_H(Ht))
    return [_one(discovery, index, wanted, folder, out, budget) for index in range(len(wanted.seen))]


def _one(discovery: Discovery, index: int, wanted: _Wanted, folder: str, out: str, budget: int) -> Drawn:
    name, reported = wanted.names[index], wanted.reported[index]
    if name is None and not reported:
        return Drawn(False, None)
    picture = original(folder, wanted.seen[index].path, LONG_SIDE if name else SIDE)
    overlay = name if picture is not None else None
    if overlay is not None and picture is not None:
        put(out, overlay, encode_png(drawn(discovery, index, picture)))
    entry = entry_of(_report(discovery), index, picture, overlay, budget) if reported else None
    return Drawn(overlay is not None, entry)


def _report(discovery: Discovery) -> Report:
    """What the entry of a picture is made from; of the whole report no more is needed."""
    level = Level(discovery.found, lambda index: np.ascontiguousarray(discovery.heat_map(index)))
    return Report("", "run", (level,), len(discovery.found.images), {})


def _discovery(
    found: Found, seen: Sequence[Seen], settings: Settings, W: NDArray[np.float32], H: NDArray[np.float32]
) -> Discovery:
    none = np.zeros((0, len(W)), np.float32)
    heats = Heats(H, [one.grid for one in seen])
    return Discovery(Path(), settings, found, tuple(one.path for one in seen), H, W, none, heats)
