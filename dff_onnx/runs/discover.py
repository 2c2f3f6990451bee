"""A folder of pictures becomes concepts: the whole way, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank
from dff_onnx.errors import ImageError
from dff_onnx.factorization import Factorization, factorize, whole_images
from dff_onnx.files import printable, root_of, walk_pictures
from dff_onnx.maps import MaskFound, heat_map, mask, offsets, peaks, scores, set_regions, set_thresholds, upsample
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.records import Grid
from dff_onnx.report.found import ConceptFound, ConceptInImage, Failure, Fit, Found, ImageFound
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.runs.collect import Collected, Seen, collect
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.sharpened import ON, sharpened
from dff_onnx.threads import available_cores

PART = 64  # images that one thread takes at a time


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was discovered, with the arrays.

    Attributes:
        folder: that the paths are relative to.
        settings: it was made with.
        found: concepts, scores, boxes: see `dff_onnx.report.found`.
        paths: of the pictures, in the order of `found.images`.
        H: `(N, k)` coefficients on the host, picture after picture.
        W: `(k, c)` concepts, None where each picture has its own.
        thresholds: `(k,)`, None likewise.
        image_peaks: `(images, k)` peak of each concept in each image.
        sharp: maps `(k, height, width)` of each picture after the CRF, 0..255, on from 128; empty without one.
    """

    folder: Path
    settings: Settings
    found: Found
    paths: tuple[Path, ...]
    H: NDArray[np.float32]
    W: NDArray[np.float32] | None
    image_peaks: NDArray[np.float32]
    sharp: tuple[NDArray[np.uint8], ...] = ()

    @property
    def images(self) -> tuple[ImageFound, ...]:
        """What was found in each picture, in sorted order."""
        return self.found.images

    def heat_map(self, index: int) -> NDArray[np.float32]:
        """The heat maps `(k, h, w)` of a picture, on the grid of its activations."""
        grids = [image.grid for image in self.images]
        heat: NDArray[np.float32] = heat_map(self.H, offsets(grids)[index], grids[index])
        return heat

    def maps(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a picture's masks are made of: maps `(k, h, w)` of any size, and thresholds `(k,)`."""
        if self.sharp:
            return _as_float(self.sharp[index]), np.full(len(self.sharp[index]), ON, np.float32)
        concepts = self.found.concepts_of(self.images[index])
        return self.heat_map(index), np.asarray([concept.threshold for concept in concepts], np.float32)

    def masks(self, index: int) -> NDArray[np.bool_]:
        """Where each concept is in a picture: `(k, height, width)`, at the picture's own size."""
        maps, thresholds = self.maps(index)
        size = self.images[index].size
        return mask(upsample(maps, size.height, size.width), thresholds)

    def bank(self) -> Bank | None:
        """The concepts, to be saved; None where each picture has its own."""
        if self.W is None:
            return None
        concepts = self.found.concepts
        thresholds, highest, energy = (
            np.asarray([getattr(concept, name) for concept in concepts], np.float32)
            for name in ("threshold", "peak", "energy")
        )
        return Bank(
            W=self.W,
            thresholds=thresholds,
            peaks=highest,
            energy=energy,
            names=tuple(concept.name for concept in concepts),
            colours=tuple(concept.colour for concept in concepts),
            fingerprint=self.found.fingerprint,
            provenance={"images": len(self.images), **self.settings.to_dict()},
        )


@dataclass(frozen=True, slots=True)
class _Set:
    """Images that share their concepts: a whole folder, or one picture."""

    H: NDArray[np.float32]
    W: NDArray[np.float32]
    fit: Fit
    concepts: tuple[ConceptFound, ...]
    image_peaks: NDArray[np.float32]
    images: tuple[ImageFound, ...]
    sharp: tuple[NDArray[np.uint8], ...]


def discover(
    folder: str | Path,
    activations: Activations,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Finds what the pictures of a folder have in common.

    Args:
        folder: of pictures, or one picture.
        activations: the network, as `Backbone.open` gives it.
        settings: how; k = 4 at 224 x 224 by default.
        progress: follows the stages.

    Raises:
        UsageError: when there is no such folder, or k is impossible for it.
        NoImagesError: when it has no usable picture.
        ModelError: when the network's activations cannot be factorized.
    """
    folder, settings, progress = Path(folder), settings or Settings(), progress or Silent()
    paths = walk_pictures(folder)
    progress.start("reading", len(paths))
    rows = collect(root_of(folder), paths, activations, settings.resize, progress)
    return discover_in(rows, root_of(folder), activations, settings, progress)


def discover_in(
    rows: Collected,
    folder: Path,
    activations: Activations,
    settings: Settings,
    progress: Progress | None = None,
) -> Discovery:
    """As `discover`, from activations that were collected before: other settings then cost no network.

    Args:
        rows: as `collect` gives them.
        folder: that their paths are relative to.
        activations: the network they come from.
        settings: how.
        progress: follows the stages.
    """
    progress = progress or Silent()
    if settings.per_image:
        starts = offsets(rows.grids)
        progress.start("factorizing", len(rows.seen))
        bounds = list(zip(starts, starts[1:], rows.seen, strict=False))
        sets = [_factorized(rows.A[a:b, :], (one,), folder, settings) for a, b, one in followed(bounds, progress)]
    else:
        progress.start("factorizing")
        sets = [_factorized(rows.A, rows.seen, folder, settings, progress)]
    return _discovery(folder, settings, sets, rows, activations)


def _discovery(
    folder: Path, settings: Settings, sets: Sequence[_Set], rows: Collected, activations: Activations
) -> Discovery:
    shared = None if settings.per_image else sets[0]
    images = tuple(image for one in sets for image in (one.images if shared else _with_own(one)))
    found = Found(
        fingerprint=activations.fingerprint,
        device=activations.device,
        scale="set" if shared else "image",
        fit=shared.fit if shared else None,
        concepts=shared.concepts if shared else (),
        images=images,
        failures=tuple(map(_failure, rows.failures)),
    )
    return Discovery(
        folder=folder,
        settings=settings,
        found=found,
        paths=tuple(seen.path for seen in rows.seen),
        H=shared.H if shared else np.concatenate([one.H for one in sets]),
        W=shared.W if shared else None,
        image_peaks=np.concatenate([one.image_peaks for one in sets]),
        sharp=tuple(maps for one in sets for maps in one.sharp),
    )


def _factorized(
    A: Array, seen: Sequence[Seen], folder: Path, settings: Settings, progress: Progress | None = None
) -> _Set:
    grids = [one.grid for one in seen]
    cuts = whole_images([grid.cells for grid in grids])
    fitted = factorize(A, settings.k, solver=settings.solver, seed=settings.seed, cuts=cuts)
    thresholds = set_thresholds(fitted.H, grids, _sizes(seen, settings), settings.threshold)
    # From here on everything is small, or made for files: the host's work.
    H = np.ascontiguousarray(to_numpy(fitted.H), np.float32)
    image_peaks = peaks(H, grids)
    highest = image_peaks.max(axis=0)
    heats = [heat_map(H, start, grid) for start, grid in zip(offsets(grids), grids, strict=False)]
    sharp = sharpened(folder, seen, heats, thresholds, highest, settings.crf, progress or Silent())
    found = _regions(sharp or heats, np.full_like(thresholds, ON) if sharp else thresholds, seen, settings)
    return _Set(
        H=H,
        W=np.asarray(to_numpy(fitted.W), np.float32),
        fit=_fit(fitted, A.shape, settings),
        concepts=_concepts(fitted, thresholds, highest),
        image_peaks=image_peaks,
        images=_images(seen, scores(image_peaks), found),
        sharp=tuple(sharp),
    )


def _sizes(seen: Sequence[Seen], settings: Settings) -> list[Grid]:
    """Of the pictures, in the domain of their thresholds."""
    domains = {"native": "grid", "input": "input", "original": "original"}
    return [getattr(one, domains[settings.threshold.domain]) for one in seen]


def _regions(
    maps: Sequence[NDArray[np.float32]] | Sequence[NDArray[np.uint8]],
    thresholds: NDArray[np.float32],
    seen: Sequence[Seen],
    settings: Settings,
) -> list[tuple[MaskFound, ...]]:
    """Masks and regions of every picture."""

    def masks(part: range) -> list[tuple[MaskFound, ...]]:
        pictures = ((_as_float(maps[i]), seen[i].original) for i in part)
        return list(set_regions(pictures, thresholds, settings.min_share))

    workers = min(4, available_cores(), -(-len(seen) // PART))
    parts = [range(i, min(i + PART, len(seen))) for i in range(0, len(seen), PART)]
    with single_threaded_blas(), ThreadPoolExecutor(workers) as pool:
        return [one for part in pool.map(masks, parts) for one in part]


def _as_float(maps: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = maps.astype(np.float32, copy=False)
    return scaled / np.float32(255) if maps.dtype == np.uint8 else scaled


def _images(
    seen: Sequence[Seen], image_scores: NDArray[np.float32], found: Sequence[tuple[MaskFound, ...]]
) -> tuple[ImageFound, ...]:
    return tuple(
        ImageFound(
            printable(one.path),
            one.original,
            one.input,
            one.grid,
            tuple(ConceptInImage(j, float(row[j]), here.share, here.regions) for j, here in enumerate(images_masks)),
        )
        for one, row, images_masks in zip(seen, image_scores, found, strict=True)
    )


def _concepts(
    fitted: Factorization, thresholds: NDArray[np.float32], highest: NDArray[np.float32]
) -> tuple[ConceptFound, ...]:
    total = sum(fitted.energy) or 1.0
    return tuple(
        ConceptFound(j, None, hexadecimal(colour(j)), energy / total, float(thresholds[j]), float(highest[j]))
        for j, energy in enumerate(fitted.energy)
    )


def _fit(fitted: Factorization, shape: tuple[int, int], settings: Settings) -> Fit:
    return Fit(
        k=settings.k,
        rows=shape[0],
        channels=shape[1],
        solver=fitted.solver,
        seed=settings.seed,
        start=fitted.start,
        loss=fitted.loss,
        reconstruction_err=fitted.reconstruction_err,
        kkt=fitted.kkt,
        spread=fitted.spread,
        n_iter=fitted.n_iter,
        converged=fitted.converged,
        stopped=fitted.stopped,
    )


def _with_own(one: _Set) -> list[ImageFound]:
    """The images with their own factorization in them."""
    return [replace(image, fit=one.fit, table=one.concepts) for image in one.images]


def _failure(error: ImageError) -> Failure:
    return Failure(printable(error.path), error.reason)
