"""Foreground mode on a folder: the object its pictures share, as one concept named foreground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.foreground import Foreground, View, find_foreground
from dff_onnx.errors import ImageError
from dff_onnx.images import Resize, read_original
from dff_onnx.images.resize import SMALLEST
from dff_onnx.maps import MaskFound, peaks, scores, shrink
from dff_onnx.maps.crf import CERTAIN
from dff_onnx.maps.levels import as_float
from dff_onnx.progress import Progress, followed
from dff_onnx.records import Grid
from dff_onnx.report.figures import ForegroundFound, TrialFound
from dff_onnx.report.found import ConceptFound, Found
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discovery import Discovery, failure_of, images_with, regions_in
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.sharpened import ON, sharpened
from dff_onnx.threads import available_cores, in_order

# Pictures are refined at this longer side.
WORKING_SIDE = 256
NAME = "foreground"


def foreground_in(
    rows: Collected,
    folder: Path,
    activations: Activations,
    settings: Settings,
    progress: Progress,
    keep: Keep | None = None,
) -> Discovery:
    """The foreground of pictures whose activations were collected at the main size.

    The network runs again at half that size, as a check and a way out.

    Args:
        rows: as `collect` gives them.
        folder: that their paths are relative to.
        activations: the network.
        settings: with `foreground`.
        progress: follows the stages.
        keep: where work is kept for a run that may be killed.
    """
    again = _smaller(rows, folder, activations, settings.resize, progress, keep)
    views = [View(rows.A, rows.grids, settings.resize), *again]
    found = find_foreground(views, working_pictures(folder, rows.seen, progress), progress)
    return _discovery(found, rows, folder, activations, settings, progress)


def half_size(resize: Resize) -> Resize | None:
    """The size of the check; None where the network would see next to nothing."""
    return replace(resize, pixels=resize.pixels // 2) if resize.pixels // 2 >= 2 * SMALLEST else None


def _smaller(
    rows: Collected, folder: Path, activations: Activations, resize: Resize, progress: Progress, keep: Keep | None
) -> list[View]:
    smaller = half_size(resize)
    if smaller is None:
        return []
    paths = [seen.path for seen in rows.seen]
    progress.start("at half size", len(paths))
    again = collect(folder, paths, activations, smaller, progress, keep)
    return [View(again.A, again.grids, smaller)] if [seen.path for seen in again.seen] == paths else []


def working_pictures(folder: Path, seen: Sequence[Seen], progress: Progress) -> list[NDArray[np.uint8]]:
    """The pictures at the working size; grey in place of one that can no longer be read: its colours say nothing."""

    def read(one: Seen) -> NDArray[np.uint8]:
        try:
            return read_original(folder / one.path, WORKING_SIDE)
        except ImageError:
            shrink_by = WORKING_SIDE / max(one.original.height, one.original.width, WORKING_SIDE)
            sides = (max(1, round(side * shrink_by)) for side in (one.original.height, one.original.width))
            return np.full((*sides, 3), 128, np.uint8)

    progress.start("reading", len(seen))
    return list(followed(in_order(seen, read, available_cores()), progress))


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """What a run makes of the foreground's maps.

    Attributes:
        H: `(N, 1)`, the maps on the grids of the activations.
        sharp: maps `(1, height, width)` that masks are made of, 0..255.
        image_peaks: `(images, 1)`.
        regions: of the masks.
    """

    H: NDArray[np.float32]
    sharp: tuple[NDArray[np.uint8], ...]
    image_peaks: NDArray[np.float32]
    regions: list[tuple[MaskFound, ...]]


def marked(
    maps: Sequence[NDArray[np.uint8]], seen: Sequence[Seen], folder: Path, settings: Settings, progress: Progress
) -> Marked:
    """From the foreground's maps to masks and regions, by way of the CRF where one is asked for.

    Args:
        maps: `(h, w)` of each picture, 0..255.
        seen: the pictures.
        folder: that their paths are relative to.
        settings: of the CRF and of regions.
        progress: follows the CRF.
    """
    shares, grids = [as_float(one[None]) for one in maps], [one.grid for one in seen]
    sharp = _sharper(shares, seen, folder, settings, progress) or [one[None] for one in maps]
    H = np.concatenate([_on(grid, one) for grid, one in zip(grids, shares, strict=True)])
    regions = list(regions_in(sharp, np.full(1, ON, np.float32), seen, settings))
    return Marked(H, tuple(sharp), peaks(H, grids), regions)


def concept_named(peak: float) -> ConceptFound:
    """The foreground as the one concept of a run.

    Args:
        peak: what stands for full heat.
    """
    return ConceptFound(0, NAME, hexadecimal(colour(0)), 1.0, ON, peak)


def _discovery(
    found: Foreground, rows: Collected, folder: Path, activations: Activations, settings: Settings, progress: Progress
) -> Discovery:
    made = marked(found.maps, rows.seen, folder, settings, progress)
    return Discovery(
        folder=folder,
        settings=settings,
        found=Found(
            fingerprint=activations.fingerprint,
            device=activations.device,
            scale="set",
            fit=None,
            concepts=(concept_named(float(made.image_peaks.max())),),
            images=tuple(images_with(rows.seen, scores(made.image_peaks), made.regions)),
            failures=tuple(map(failure_of, rows.failures)),
            foreground=_told(found, settings.resize),
        ),
        paths=tuple(seen.path for seen in rows.seen),
        H=made.H,
        W=None,
        image_peaks=made.image_peaks,
        heats=Heats(made.H, rows.grids),
        sharp=made.sharp,
        foreground=found,
    )


def _on(grid: Grid, share: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map `(1, h, w)` as rows of `H`."""
    rows: NDArray[np.float32] = shrink(share, grid.height, grid.width).reshape(-1, 1)
    return rows


def _sharper(
    shares: Sequence[NDArray[np.float32]], seen: Sequence[Seen], folder: Path, settings: Settings, progress: Progress
) -> list[NDArray[np.uint8]]:
    """By the CRF, where one is asked for: at a finer size than the maps'."""
    if settings.crf is None:
        return []
    certain = [np.clip(one, 1 - CERTAIN, CERTAIN) for one in shares]
    one = np.ones(1, np.float32)
    return list(sharpened(folder, seen, [p / (1 - p) for p in certain], one, one, settings.crf, progress))


def _told(found: Foreground, resize: Resize) -> ForegroundFound:
    pixels = [resize.pixels, resize.pixels // 2]
    trials = tuple(
        TrialFound(pixels[t.view], t.prior, t.quality, t.bimodality, t.overlap, t.halves, t.contact)
        for t in found.trials
    )
    return ForegroundFound(found.sure, found.agreement, found.chosen, trials)
