"""`dff-onnx apply`: the concepts of a bank on new pictures, with the bank's thresholds and scale; nothing is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank, bank_sha256, check_belongs, limit_of
from dff_onnx.concepts.foreground import LOOKS, ForegroundModel, refine
from dff_onnx.errors import BankError, ImageError, UsageError
from dff_onnx.factorization import losses, nonnegative_least_squares
from dff_onnx.files import root_of, walk_pictures
from dff_onnx.images import Picture, Resize, read_picture
from dff_onnx.maps import Crf, peaks
from dff_onnx.maps.levels import to_levels
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Grid
from dff_onnx.report.figures import AppliedFound
from dff_onnx.report.found import ConceptFound, Found, ImageFound
from dff_onnx.runs.claim import claimed, identity_of
from dff_onnx.runs.collect import block_of, none_usable
from dff_onnx.runs.discovery import Discovery, failure_of, images_with, regions_in
from dff_onnx.runs.foreground import concept_named, marked, working_pictures
from dff_onnx.runs.gather import Block, gathering
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.keep import Keep, keep_in
from dff_onnx.runs.parts import Batch
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import REPORTED, Overlays, Settings
from dff_onnx.runs.sharpened import ON, sharpened
from dff_onnx.runs.truth import check_truth, truth_setting, with_truth
from dff_onnx.runs.write import write


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """How a bank is applied; all else is the bank's.

    Attributes:
        resize: of the pictures, before the network; None for that of the bank's pictures.
        crf, min_share, overlays, report: as in `Settings`.
    """

    resize: Resize | None = None
    crf: Crf | None = None
    min_share: float = 0.01
    overlays: Overlays = "all"
    report: Overlays = REPORTED

    def to_dict(self, bank: Bank) -> dict[str, Any]:
        """As `run.toml` stores them."""
        fields = self.for_run(bank).to_dict()
        shared = ("resize", "size", "min_share", "overlays", "report")
        return {name: value for name, value in fields.items() if name in shared or name.startswith("crf")}

    def for_run(self, bank: Bank) -> Settings:
        """What the files of a run are made by.

        Raises:
            UsageError: when a foreground is to be looked for at another size than it was learned at.
        """
        model = _foreground_alone(bank)
        if model and self.resize not in (None, model.resize):
            raise UsageError(
                f"size: this bank's foreground was learned from pictures of {model.resize.mode} {model.resize.pixels} "
                "pixels, and is found at that size alone; leave the size out"
            )
        return Settings(
            k=max(1, len(bank.W)),
            resize=self.resize or bank.resize or (model.resize if model else Resize()),
            crf=self.crf,
            foreground=model is not None,
            min_share=self.min_share,
            overlays=self.overlays,
            report=self.report,
        )


def apply(
    bank: Bank,
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    settings: ApplySettings | None = None,
    *,
    truth: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Discovery:
    """Finds a bank's concepts in a folder's pictures and writes heat maps, boxes and scores to `out`, as `run` does.

    Args:
        bank: as `read_bank` gives it.
        folder: of pictures, or one picture.
        out: the run's folder, made where it is missing.
        activations: the bank's network, as `open_for_bank` gives it.
        settings: how; the pictures become as large as the bank's own by default.
        truth: a folder of masks to compare with; see `dff_onnx.runs.truth`.
        overwrite: replace a run of other settings or of another bank.
        progress: follows the stages.

    Raises:
        UsageError: when `out` belongs to something else, and as `project_folder`.
        BankError, NoImagesError, ModelError: as `project_folder`.
        DatasetError: when the masks cannot be used.
        OutputError: when a file cannot be written.
    """
    folder, out, settings = Path(folder), Path(out), settings or ApplySettings()
    identity = identity_of(folder, settings.to_dict(bank) | truth_setting(truth), activations.fingerprint)
    identity["bank"] = {"sha256": bank_sha256(bank)}
    if truth is not None:
        check_truth("set", truth)
    with claimed(out, folder, identity, overwrite) as work:
        keep = keep_in(work.resume, folder, activations)
        discovery = project_folder(bank, folder, activations, settings, progress, keep)
        if truth is not None:
            discovery = with_truth(discovery, truth)
        work.settle()
        return write(discovery, out, identity, progress)


def project_folder(
    bank: Bank,
    folder: str | Path,
    activations: Activations,
    settings: ApplySettings | None = None,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Discovery:
    """Finds a bank's concepts in a folder's pictures; nothing is written. Activations are not kept.

    Args:
        bank, folder, activations, settings, progress: see `apply`.
        keep: where coefficients are kept for a run that may be killed; None keeps them in memory.

    Raises:
        UsageError: when there is no such folder.
        NoImagesError: when it has no usable picture.
        BankError: when the bank is of another network, naming both fingerprints.
        ModelError: when the network cannot take the pictures.
    """
    folder, progress = Path(folder), progress or Silent()
    made = (settings or ApplySettings()).for_run(bank)
    check_belongs(bank, activations.fingerprint, "the bank", "the network given")
    root, paths = root_of(folder), walk_pictures(folder)
    progress.start("reading", len(paths))
    rows = project(bank, root, paths, activations, made.resize, progress, keep)
    model = _foreground_alone(bank)
    if model:
        return _with_foreground(bank, model, rows, root, activations, made, progress)
    return _with_concepts(bank, rows, root, activations, made, progress)


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """What the bank makes of pictures.

    Attributes:
        values: `(N, k)` coefficients; `(N, 1)` of a foreground model.
        losses: of each picture; None each where no concepts explain it.
        seen: the pictures.
        failures: those that could not be read.
    """

    values: NDArray[np.float32]
    losses: list[float | None]
    seen: Sequence[Seen]
    failures: tuple[ImageError, ...]

    @property
    def grids(self) -> list[Grid]:
        """One for each picture, in order."""
        return [one.grid for one in self.seen]

    def maps(self) -> Heats:
        """`(k, h, w)` of each picture."""
        return Heats(self.values, self.grids)


def project(
    bank: Bank,
    folder: Path,
    paths: Sequence[Path],
    activations: Activations,
    resize: Resize,
    progress: Progress,
    keep: Keep | None,
) -> Projected:
    """A bank's concepts in pictures.

    Args:
        bank, activations, progress: see `apply`.
        folder: that the paths are relative to.
        paths: sorted.
        resize: of the pictures.
        keep: where coefficients are kept for a run that may be killed; None keeps them in memory.

    Raises:
        NoImagesError, BankError, ModelError: as `project_folder`.
        OutputError: when coefficients cannot be kept.
    """

    def read(place: int) -> Picture:
        return read_picture(folder / paths[place], resize)

    of = {"bank": bank_sha256(bank), "size": [resize.mode, resize.pixels]}
    with gathering(folder, paths, keep, "coefficients", of) as rows:
        rows.fill(read, partial(projected, bank, activations), activations.workers, progress)
        values = rows.matrix()
        if values is None:
            raise none_usable(folder, rows.failures)
        return Projected(values, rows.figures, rows.seen, rows.failures)


def projected(bank: Bank, activations: Activations, batch: Batch[int]) -> Block:
    """A few pictures of one size: coefficients by non-negative least squares, or values along the direction.

    Each picture's figure is its loss; None where no concepts explain it.

    Raises:
        BankError: when the bank has other channels than the network.
        ModelError: when activations are negative or not finite.
    """
    block, model = block_of(batch, activations), _foreground_alone(bank)
    A, sizes = block.rows, block.sizes
    if A.shape[1] != bank.W.shape[1]:
        raise BankError(f"the bank has {bank.W.shape[1]} channels, and its network gives {A.shape[1]}; make it again")
    if model:
        return Block(model.values(A)[:, None], sizes, [None] * len(sizes))
    W = like(bank.W, A)
    H = nonnegative_least_squares(A, W, threads=1)
    of_images = losses(A, H, W, [one.grid.cells for one in sizes])
    return Block(np.ascontiguousarray(to_numpy(H), np.float32), sizes, of_images.tolist())


def _with_concepts(
    bank: Bank, rows: Projected, folder: Path, activations: Activations, settings: Settings, progress: Progress
) -> Discovery:
    heats, image_peaks = rows.maps(), peaks(rows.values, rows.grids)
    sharp = tuple(sharpened(folder, rows.seen, heats, bank.thresholds, bank.peaks, settings.crf, progress))
    thresholds = np.full_like(bank.thresholds, ON) if sharp else bank.thresholds
    regions = regions_in(sharp or heats, thresholds, rows.seen, settings)
    highest = np.where(bank.peaks > 0, bank.peaks, 1).astype(np.float32)
    scores = np.minimum(image_peaks / highest, 1)
    images = tuple(images_with(rows.seen, scores, regions, rows.losses))
    return Discovery(
        folder=folder,
        settings=settings,
        found=_found(bank, activations, _concepts(bank), images, rows),
        paths=tuple(seen.path for seen in rows.seen),
        H=rows.values,
        W=bank.W,
        image_peaks=image_peaks,
        heats=heats,
        sharp=sharp,
        applied=bank,
    )


def _with_foreground(
    bank: Bank,
    model: ForegroundModel,
    rows: Projected,
    folder: Path,
    activations: Activations,
    settings: Settings,
    progress: Progress,
) -> Discovery:
    """The soft maps of all pictures are sharpened together: the foreground's colours are partly the whole set's."""
    pictures = working_pictures(folder, rows.seen, progress)
    softs = [model.soft(maps[0], Grid(*picture.shape[:2])) for maps, picture in zip(rows.maps(), pictures, strict=True)]
    progress.start("foreground", LOOKS * len(pictures))
    maps = [to_levels(one) for one in refine(softs, pictures, progress)]
    made = marked(maps, rows.seen, folder, settings, progress)
    images = tuple(images_with(rows.seen, np.minimum(made.image_peaks, 1), made.regions))
    return Discovery(
        folder=folder,
        settings=settings,
        found=_found(bank, activations, (concept_named(1.0),), images, rows),
        paths=tuple(seen.path for seen in rows.seen),
        H=made.H,
        W=None,
        image_peaks=made.image_peaks,
        heats=Heats(made.H, rows.grids),
        sharp=made.sharp,
        applied=bank,
    )


def _found(
    bank: Bank,
    activations: Activations,
    concepts: tuple[ConceptFound, ...],
    images: tuple[ImageFound, ...],
    rows: Projected,
) -> Found:
    return Found(
        fingerprint=activations.fingerprint,
        device=activations.device,
        scale="set",
        fit=None,
        concepts=concepts,
        images=images,
        failures=tuple(map(failure_of, rows.failures)),
        applied=AppliedFound(bank_sha256(bank), bank.losses[2] if bank.losses else None, limit_of(bank)),
    )


def _concepts(bank: Bank) -> tuple[ConceptFound, ...]:
    return tuple(
        ConceptFound(
            number=j,
            name=name,
            colour=bank.colours[j],
            energy=float(bank.energy[j]),
            threshold=float(bank.thresholds[j]),
            peak=float(bank.peaks[j]),
        )
        for j, name in enumerate(bank.names)
    )


def _foreground_alone(bank: Bank) -> ForegroundModel | None:
    """The foreground of a bank that has no concepts."""
    return bank.foreground if len(bank.W) == 0 else None
