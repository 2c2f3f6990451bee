"""A run's folder: everything that was found, in files."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.concepts.bank import bank_bytes
from dff_onnx.errors import ImageError, OutputError
from dff_onnx.files import output_names, write_atomically
from dff_onnx.images import prefetch, read_original
from dff_onnx.maps import evidence, heat_map, offsets
from dff_onnx.progress import Progress, Silent
from dff_onnx.report.found import Found, ImageFound
from dff_onnx.report.maps_file import Maps, write_maps
from dff_onnx.report.overlays import LONG_SIDE, encode_png, overlay
from dff_onnx.report.palette import from_hexadecimal
from dff_onnx.report.results import boxes_csv, coco_json, failures_json, results_json
from dff_onnx.runs.claim import write_run_file
from dff_onnx.runs.discovery import Discovery

OVERLAYS = "overlays"
LEGENDS = {"set": "scale: whole set", "image": "scale: this picture"}
SHARPENED = "sharpened"


def write(discovery: Discovery, out: Path, identity: dict[str, Any], progress: Progress | None = None) -> Discovery:
    """Writes a run's files below `out`.

    Args:
        discovery: what was found.
        out: the run's folder, claimed for it.
        identity: the tables of `run.toml` that say what went in.
        progress: follows the overlays.

    Returns:
        the discovery, its images with the paths of their overlays.

    Raises:
        OutputError: when a file cannot be written.
    """
    progress = progress or Silent()
    written = _write_overlays(discovery, out, progress)
    discovery = replace(discovery, found=replace(discovery.found, images=written))
    found, bank = discovery.found, discovery.bank()
    write_atomically(out / "boxes.csv", boxes_csv(found))
    write_atomically(out / "coco.json", coco_json(found))
    write_atomically(out / "failures.json", failures_json(found.failures))
    write_maps(out / "maps.npz", _maps(discovery))
    if bank is not None:
        write_atomically(out / "bank.npz", bank_bytes(bank))
    write_run_file(out, identity | _quality(found) | {"made": {"device": found.device, "versions": versions()}})
    write_atomically(out / "results.json", results_json(found))
    return discovery


def _maps(discovery: Discovery) -> Iterable[Maps]:
    """What the masks of each picture are made of."""
    grids = [image.grid for image in discovery.images]
    starts = offsets(grids)
    return discovery.sharp or (heat_map(discovery.H, *place) for place in zip(starts, grids, strict=False))


def _quality(found: Found) -> dict[str, Any]:
    """How good the result is, and its thresholds; pictures that have their own say it in `results.json`."""
    thresholds = {"thresholds": {"values": [concept.threshold for concept in found.concepts]}} if found.concepts else {}
    if found.foreground is not None:
        return {"quality": {"sure": found.foreground.sure, "agreement": found.foreground.agreement}} | thresholds
    if found.fit is None:
        return {}
    fit = found.fit
    return {
        "quality": {"loss": fit.loss, "kkt": fit.kkt, "spread": fit.spread, "converged": fit.converged}
    } | thresholds


def versions() -> dict[str, str]:
    """Of what results depend on."""
    found = {"python": platform.python_version()}
    for name in (
        "dff-onnx",
        "numpy",
        "scipy",
        "onnx",
        "pillow",
        "onnxruntime",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _write_overlays(discovery: Discovery, out: Path, progress: Progress) -> tuple[ImageFound, ...]:
    images = discovery.found.images
    many = discovery.settings.overlays_of(len(images))
    names = [f"{OVERLAYS}/{name}" for name in output_names(discovery.paths, ".png")[:many]]
    _remove_others(out, names)
    if not many:
        return images
    progress.start("drawing", many)
    done = list(images)
    with single_threaded_blas():
        for index, picture in _pictures(discovery, many):
            write_atomically(out / names[index], encode_png(_drawn(discovery, index, picture)))
            done[index] = replace(images[index], overlay=names[index])
            progress.advance()
    return tuple(done)


def _pictures(discovery: Discovery, many: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The pictures again, read ahead; one that can no longer be read has no overlay."""
    paths = discovery.paths

    def read(index: int) -> NDArray[np.uint8]:
        return read_original(discovery.folder / paths[index], LONG_SIDE)

    for index, picture in prefetch(range(many), read):
        if not isinstance(picture, ImageError):
            yield index, picture


def _drawn(discovery: Discovery, index: int, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = discovery.found
    concepts = found.concepts_of(found.images[index])
    highest, thresholds = (
        np.asarray([getattr(concept, name) for concept in concepts], np.float32) for name in ("peak", "threshold")
    )
    heat = discovery.heat_map(index) / np.where(highest > 0, highest, 1).astype(np.float32)[:, None, None]
    colours = [from_hexadecimal(concept.colour) for concept in concepts]
    labels = [concept.label for concept in concepts]
    if not discovery.sharp:
        return overlay(picture, heat, colours, labels, LEGENDS[found.scale])
    # Sharpened maps are 1 or next to it wherever a concept is: the heat says which one is stronger.
    strength = np.asarray(evidence(discovery.heat_map(index), thresholds, highest), np.float32)
    return overlay(picture, discovery.maps(index)[0], colours, labels, SHARPENED, strength=strength)


def _remove_others(out: Path, names: Sequence[str]) -> None:
    """Overlays of pictures that are no longer in the folder."""
    kept = {out / name for name in names}
    try:
        for file in (out / OVERLAYS).rglob("*.png"):
            if file not in kept:
                file.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: an earlier overlay cannot be removed ({error.strerror})") from error
