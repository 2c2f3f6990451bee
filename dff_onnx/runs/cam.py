"""`dff-onnx cam`: a folder in, a run's folder of class maps out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.datasets.ilsvrc_predictions import PREDICTIONS
from dff_onnx.files import write_atomically
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Answer, ConceptFound
from dff_onnx.report.overlays import Pixels, overlay
from dff_onnx.report.page.layout import Level
from dff_onnx.report.palette import from_hexadecimal
from dff_onnx.report.panels import shown_box, side_by_side, within
from dff_onnx.report.predictions import predictions_csv
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.claim import claimed, identity_of
from dff_onnx.runs.class_evidence import source_of
from dff_onnx.runs.class_maps import ClassMaps, make_class_maps
from dff_onnx.runs.drawing import LEGENDS, Overlays, show_pictures
from dff_onnx.runs.keep import keep_in
from dff_onnx.runs.mapping import Mapping
from dff_onnx.runs.reporting import Pages, report_of
from dff_onnx.runs.write import made_by, write_findings


def run_cam(
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    mapping: Mapping,
    names: ClassNames,
    settings: CamSettings | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ClassMaps:
    """Maps where a classifier sees its classes, and writes maps, boxes, answers, overlays and the report to `out`.

    The same call on the same `out` writes the same bytes again; other settings on it are refused. A call that was
    ended, however it was, is taken up by the next: pictures that went through the network do not go again.

    Args:
        folder: of pictures, or one picture.
        out: the run's folder, made where it is missing.
        activations, mapping, names, settings: see `make_class_maps`.
        overwrite: replace a run of other settings.
        progress: follows the stages.

    Raises:
        UsageError: when `out` belongs to something else, and as `make_class_maps`.
        NoImagesError, ModelError: as `make_class_maps`.
        OutputError: when a file cannot be written.
    """
    folder, out, settings = Path(folder), Path(out), settings or CamSettings()
    made_of = {"class_names": source_of(names), **mapping.made_of}
    identity = identity_of(folder, settings.to_dict() | made_of, activations.fingerprint)
    with claimed(out, folder, identity, overwrite) as work:
        keep = keep_in(work.resume, folder, activations)
        made = make_class_maps(folder, activations, mapping, names, settings, progress, keep)
        work.settle()
        return _write(made, out, identity, progress or Silent())


def _write(made: ClassMaps, out: Path, identity: dict[str, Any], progress: Progress) -> ClassMaps:
    overlays = Overlays(made.settings.overlays_of(len(made.images)), partial(_drawn, made))
    pages = _pages(made, out, identity)
    images = show_pictures(made.folder, made.paths, made.images, out, overlays, pages, progress)
    made = replace(made, found=replace(made.found, images=images))
    write_atomically(out / PREDICTIONS, predictions_csv(made.predictions))
    write_findings(made.found, made.maps, out, identity)
    return made


def _pages(made: ClassMaps, out: Path, tables: dict[str, Any]) -> Pages | None:
    shown = made.settings.reported_of(len(made.images))
    if not shown:
        return None
    level = Level(made.found, made.maps.__getitem__)
    return Pages(report_of(made.folder, [level], shown, tables | made_by(made.found)), out)


def _drawn(made: ClassMaps, index: int, picture: Pixels) -> Pixels:
    """Classes that were named lie over one picture; the best of each picture lie side by side: they overlap."""
    places = range(len(made.images[index].table))
    if made.settings.classes or len(places) == 1:
        return _overlay(made, index, picture, list(places))
    smaller = within(picture)
    return side_by_side([_overlay(made, index, smaller, [place]) for place in places])


def _overlay(made: ClassMaps, index: int, picture: Pixels, places: list[int]) -> Pixels:
    image, maps = made.images[index], made.maps[index]
    table = [image.table[place] for place in places]
    peaks = np.asarray([concept.peak for concept in table], np.float32)
    heat = maps[places] / np.where(peaks > 0, peaks, 1).astype(np.float32)[:, None, None]
    size = image.size.height, image.size.width
    return overlay(
        picture,
        heat,
        [from_hexadecimal(concept.colour) for concept in table],
        [_label(concept, image.answers) for concept in table],
        LEGENDS[made.found.scale],
        [shown_box(image.concepts[place].box, size, picture) for place in places],
    )


def _label(concept: ConceptFound, answers: Sequence[Answer]) -> str:
    """The class and its probability, where it is among the best."""
    said = next((a.probability for a in answers if a.number == concept.class_number), None)
    if said is None:
        return concept.label
    return f"{said:.0%} {concept.label}" if said >= 0.005 else f"<1% {concept.label}"
