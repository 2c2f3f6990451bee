"""A run's folder: everything that was found, in files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.bank import bank_bytes
from dff_onnx.files import write_atomically, write_pieces
from dff_onnx.maps import evidence
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Found
from dff_onnx.report.maps_file import Maps, write_maps
from dff_onnx.report.overlays import overlay
from dff_onnx.report.page.layout import Level
from dff_onnx.report.palette import from_hexadecimal
from dff_onnx.report.results import boxes_pieces, coco_pieces, failures_json, results_pieces
from dff_onnx.runs.claim import write_run_file
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.drawing import LEGENDS, Overlays, show_pictures
from dff_onnx.runs.machine import versions
from dff_onnx.runs.reporting import Pages, label_command, report_of

SHARPENED, BANK_SCALE = "sharpened", "scale: the bank's set"


def write(discovery: Discovery, out: Path, identity: dict[str, Any], progress: Progress | None = None) -> Discovery:
    """Writes a run's files below `out`.

    Args:
        discovery: what was found.
        out: the run's folder, claimed for it.
        identity: the tables of `run.toml` that say what went in.
        progress: follows the pictures that are drawn.

    Returns:
        the discovery, its images with the paths of their overlays.

    Raises:
        OutputError: when a file cannot be written.
    """
    tables = identity | quality_of(discovery.found)
    overlays = Overlays(discovery.settings.overlays_of(len(discovery.images)), partial(drawn, discovery))
    pages = _pages(discovery, out, tables)
    images = show_pictures(
        discovery.folder, discovery.paths, discovery.images, out, overlays, pages, progress or Silent()
    )
    discovery = replace(discovery, found=replace(discovery.found, images=images))
    bank = discovery.bank()
    if bank is not None:
        write_atomically(out / "bank.npz", bank_bytes(bank))
    write_findings(discovery.found, map(maps_of(discovery), range(len(images))), out, tables)
    return discovery


def write_findings(found: Found, maps: Iterable[Maps], out: Path, tables: dict[str, Any]) -> None:
    """The files that every kind of run has, `results.json` last: a run that has it is whole.

    Args:
        found: what was found.
        maps: of each picture, what its masks are made of.
        out: the run's folder.
        tables: of `run.toml`; device and versions are added.

    Raises:
        OutputError: when a file cannot be written.
    """
    write_pieces(out / "boxes.csv", boxes_pieces(found))
    write_pieces(out / "coco.json", coco_pieces(found))
    write_atomically(out / "failures.json", failures_json(found.failures))
    write_maps(out / "maps.npz", maps)
    write_run_file(out, tables | made_by(found))
    write_pieces(out / "results.json", results_pieces(found))


def maps_of(discovery: Discovery) -> Callable[[int], Maps]:
    """From a picture's number to what its masks are made of: heat maps, or sharpened maps in levels."""
    made: Sequence[Maps] = discovery.sharp or discovery.heats
    return made.__getitem__


def made_by(found: Found) -> dict[str, Any]:
    """The table of `run.toml` that says on what, and with which versions."""
    return {"made": {"device": found.device, "versions": versions()}}


def _pages(discovery: Discovery, out: Path, tables: dict[str, Any]) -> Pages | None:
    found, shown = discovery.found, discovery.settings.reported_of(len(discovery.images))
    if not shown:
        return None
    level = Level(found, maps_of(discovery), label_command(found))
    return Pages(report_of(discovery.folder, [level], shown, tables | made_by(found)), out)


def quality_of(found: Found) -> dict[str, Any]:
    """How good the result is, and its thresholds; pictures that have their own say it in `results.json`."""
    thresholds = {"thresholds": {"values": [concept.threshold for concept in found.concepts]}} if found.concepts else {}
    if found.foreground is not None:
        return {"quality": {"sure": found.foreground.sure, "agreement": found.foreground.agreement}} | thresholds
    if found.fit is None:
        return thresholds
    fit = found.fit
    return {
        "quality": {"loss": fit.loss, "kkt": fit.kkt, "spread": fit.spread, "converged": fit.converged}
    } | thresholds


def drawn(discovery: Discovery, index: int, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The overlay of a picture.

    Args:
        discovery: what was found.
        index: of the picture.
        picture: its pixels, 1024 on the longer side at most.
    """
    found = discovery.found
    concepts = found.concepts_of(found.images[index])
    highest, thresholds = (
        np.asarray([getattr(concept, name) for concept in concepts], np.float32) for name in ("peak", "threshold")
    )
    heat = discovery.heat_map(index) / np.where(highest > 0, highest, 1).astype(np.float32)[:, None, None]
    colours = [from_hexadecimal(concept.colour) for concept in concepts]
    labels = [concept.legend for concept in concepts]
    if not discovery.sharp:
        scale = BANK_SCALE if found.applied else LEGENDS[found.scale]
        return overlay(picture, heat, colours, labels, scale)
    # Sharpened maps are 1 or next to it wherever a concept is: the heat says which one is stronger.
    strength = np.asarray(evidence(discovery.heat_map(index), thresholds, highest), np.float32)
    return overlay(picture, discovery.maps(index)[0], colours, labels, SHARPENED, strength=strength)
