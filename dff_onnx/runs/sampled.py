"""Concepts learned from some of a folder's pictures, and then found in all of them: what `--sample` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank
from dff_onnx.errors import UsageError
from dff_onnx.maps import peaks, set_thresholds
from dff_onnx.maps import scores as relative
from dff_onnx.progress import Progress
from dff_onnx.records import Grid
from dff_onnx.report.found import ConceptFound
from dff_onnx.runs.apply import Projected, project
from dff_onnx.runs.class_evidence import Evidence, spoken_for
from dff_onnx.runs.discovery import Discovery, failure_of, images_with, regions_in
from dff_onnx.runs.held import Held, HeldOnDisk
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.sharpened import ON, sharpened


def on_all(
    learned: Discovery,
    paths: Sequence[Path],
    activations: Activations,
    evidence: Evidence | None,
    progress: Progress,
    keep: Keep | None,
) -> Discovery:
    """The concepts of a sample in all pictures: coefficients by non-negative least squares; thresholds and scores are
    those of the whole set.

    Args:
        learned: what was discovered in the sample.
        paths: of all pictures, sorted, relative to the folder of the sample.
        activations: the network; the pictures of the sample go through it once more.
        evidence: a classifier's head, and its classes.
        progress: follows the stages.
        keep: where coefficients, and what is found, are kept on disk; None keeps them in memory.

    Raises:
        UsageError: when concepts are not shared.
        NoImagesError, ModelError, OutputError: as `collect`.
    """
    bank, settings = learned.bank(), learned.settings
    if bank is None or learned.W is None:
        raise UsageError("sample: looks for concepts that all pictures share; it does not go with per-image")
    progress.start("reading all", len(paths))
    on_disk = None if keep is None else replace(keep, memory=0)
    rows = project(bank, learned.folder, paths, activations, settings.resize, progress, on_disk)
    return _found(learned, bank, rows, evidence, progress, HeldOnDisk(keep.folder, "all-") if keep else Held())


def _found(
    learned: Discovery, bank: Bank, rows: Projected, evidence: Evidence | None, progress: Progress, held: Held
) -> Discovery:
    H, settings, grids = rows.values, learned.settings, rows.grids
    with single_threaded_blas():
        thresholds = set_thresholds(H, grids, sizes_of(rows.seen, settings), settings.threshold)
    image_peaks = peaks(H, grids)
    highest = image_peaks.max(axis=0)
    heats = rows.maps()
    sharp = held.maps(sharpened(learned.folder, rows.seen, heats, thresholds, highest, settings.crf, progress))
    regions = regions_in(sharp or heats, np.full_like(thresholds, ON) if sharp else thresholds, rows.seen, settings)
    found = replace(
        learned.found,
        concepts=_concepts(learned, bank.W, thresholds, highest, evidence),
        images=held.images(images_with(rows.seen, relative(image_peaks), regions, rows.losses), rows.seen),
        failures=tuple(map(failure_of, rows.failures)),
        scores=relative(image_peaks) if isinstance(H, np.memmap) else None,
    )
    return replace(
        learned,
        found=found,
        paths=tuple(seen.path for seen in rows.seen),
        H=H,
        image_peaks=image_peaks,
        heats=heats,
        sharp=sharp,
    )


def sizes_of(seen: Sequence[Seen], settings: Settings) -> list[Grid]:
    """Of pictures, in the domain of their thresholds."""
    domains = {"native": "grid", "input": "input", "original": "original"}
    return [getattr(one, domains[settings.threshold.domain]) for one in seen]


def _concepts(
    learned: Discovery,
    W: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    highest: NDArray[np.float32],
    evidence: Evidence | None,
) -> tuple[ConceptFound, ...]:
    classes = spoken_for(W, highest, evidence)
    return tuple(
        replace(concept, threshold=float(threshold), peak=float(peak), classes=spoken)
        for concept, threshold, peak, spoken in zip(learned.found.concepts, thresholds, highest, classes, strict=True)
    )
