"""A folder of pictures becomes concepts: the whole way, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank, check_belongs
from dff_onnx.concepts.behind import Scores
from dff_onnx.concepts.choice import choose_k
from dff_onnx.concepts.edits import check_concepts
from dff_onnx.datasets.class_names import ClassNames, names_for
from dff_onnx.errors import UsageError
from dff_onnx.factorization import Factorization, factorize, losses
from dff_onnx.files import root_of, walk_pictures
from dff_onnx.maps import offsets, peaks, set_thresholds
from dff_onnx.maps import scores as relative
from dff_onnx.progress import Progress, Silent, followed
from dff_onnx.report.figures import ChoiceFound, TriedK
from dff_onnx.report.found import ConceptFound, Fit, Found, ImageFound
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.runs.chunks import cut_by_chunks
from dff_onnx.runs.class_evidence import Evidence, spoken_for
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discovery import Discovery, failure_of, images_with, regions_in
from dff_onnx.runs.faithful import evenly, faithfulness_of
from dff_onnx.runs.foreground import foreground_in
from dff_onnx.runs.heats import Heats
from dff_onnx.runs.held import Held, held_for
from dff_onnx.runs.keep import Keep
from dff_onnx.runs.like import Dress, dressed
from dff_onnx.runs.sampled import on_all, sizes_of
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.sharpened import ON, sharpened


@dataclass(frozen=True, slots=True)
class Beside:
    """What concepts are looked at beside.

    Attributes:
        evidence: a classifier's head that takes the activations, and its classes.
        like: a bank whose names and colours they take over.
    """

    evidence: Evidence | None
    like: Bank | None


@dataclass(frozen=True, slots=True)
class _Set:
    """Images that share their concepts: a whole folder, or one picture."""

    H: NDArray[np.float32]
    W: NDArray[np.float32]
    fit: Fit
    concepts: tuple[ConceptFound, ...]
    image_peaks: NDArray[np.float32]
    heats: Sequence[NDArray[np.float32]]
    images: Sequence[ImageFound]
    sharp: Sequence[NDArray[np.uint8]]


def discover(
    folder: str | Path,
    activations: Activations,
    settings: Settings | None = None,
    progress: Progress | None = None,
    names: ClassNames | None = None,
    *,
    like: Bank | None = None,
    scores: Scores | None = None,
    keep: Keep | None = None,
) -> Discovery:
    """Finds what the pictures of a folder have in common.

    Args:
        folder: of pictures, or one picture.
        activations: the network, as `Backbone.open` gives it.
        settings: how; k = 4 at 224 x 224 by default.
        progress: follows the stages.
        names: of a classifier's classes, where the network has a head that looks at these activations; by default
            ImageNet's where it has as many.
        like: a bank of the same fingerprint, whose names and colours concepts take over where they are the same.
        scores: of the classifier behind the layer (`dff_onnx.runs.faithful.scores_behind`), where it shall be measured
            whether concepts are what it goes by.
        keep: where work is kept for a run that may be killed; None keeps everything in memory.

    Raises:
        UsageError: when there is no such folder, k is impossible for it, or options do not go together.
        BankError: when `like` is a bank of another network.
        NoImagesError: when it has no usable picture.
        ModelError: when the network's activations cannot be factorized.
    """
    folder, settings, progress = Path(folder), settings or Settings(), progress or Silent()
    check_together(settings, activations, names, like, scores)
    paths, root = walk_pictures(folder), root_of(folder)
    sampled = settings.sample is not None and settings.sample < len(paths)
    chosen = [paths[i] for i in evenly(len(paths), settings.sample)] if settings.sample and sampled else paths
    progress.start("reading", len(chosen))
    rows = collect(root, chosen, activations, settings.resize, progress, keep)
    crf = None if sampled else settings.crf  # the pictures of the sample come again
    found = discover_in(
        rows, root, activations, replace(settings, crf=crf), progress, names, like=like, scores=scores, keep=keep
    )
    if not sampled:
        return found
    found = replace(found, settings=replace(found.settings, crf=settings.crf))
    return on_all(found, paths, activations, _evidence(activations, names), progress, keep)


def check_together(
    settings: Settings,
    activations: Activations,
    names: ClassNames | None,
    like: Bank | None,
    scores: Scores | None,
) -> None:
    """Refuses, before a picture is read, what does not go together; the arguments are those of `discover`.

    Raises:
        UsageError, BankError: as `discover`.
    """
    if names is not None and activations.head is None:
        raise UsageError(
            f"class names: no classifier's head takes the activations of {activations.fingerprint.layer!r} as they "
            "are, so concepts have no classes; leave the names out, or name the layer that the head takes"
        )
    for option, there in (("--like", like is not None), ("--faithfulness", scores is not None)):
        if there and (settings.per_image or settings.foreground):
            mode = "--per-image" if settings.per_image else "--foreground"
            raise UsageError(f"{option}: looks at concepts that a set shares; it does not go with {mode}")
    if like is not None:
        check_concepts(like, "--like")
        check_belongs(like, activations.fingerprint, "--like", "the run")


def discover_in(
    rows: Collected,
    folder: Path,
    activations: Activations,
    settings: Settings,
    progress: Progress | None = None,
    names: ClassNames | None = None,
    *,
    like: Bank | None = None,
    scores: Scores | None = None,
    keep: Keep | None = None,
) -> Discovery:
    """As `discover`, from activations that were collected before: other settings then cost no network.

    Args:
        rows: as `collect` gives them.
        folder: that their paths are relative to.
        activations: the network they come from.
        settings: how.
        progress: follows the stages.
        names, like, scores, keep: see `discover`.
    """
    progress = progress or Silent()
    if settings.foreground:
        return foreground_in(rows, folder, activations, settings, progress, keep)
    beside = Beside(_evidence(activations, names), like)
    choice = _chosen(rows, settings, progress) if settings.k == "auto" else None
    k = choice.k if choice else int(settings.k)
    settings = replace(settings, k=k)
    if settings.per_image:
        starts = offsets(rows.grids)
        progress.start("factorizing", len(rows.seen))
        bounds = list(zip(starts, starts[1:], rows.seen, strict=False))
        sets = [
            _factorized(rows.A[a:b, :], (one,), folder, k, settings, beside, Held())
            for a, b, one in followed(bounds, progress)
        ]
    else:
        progress.start("factorizing")
        held, missing = held_for(rows.A, keep), [failure.path for failure in rows.failures]
        sets = [_factorized(rows.A, rows.seen, folder, k, settings, beside, held, progress, missing)]
    made = _discovery(folder, settings, sets, rows, activations)
    faithful = None
    if scores is not None and made.W is not None:
        faithful = faithfulness_of(rows, made.H, made.W, scores, settings.seed, progress)
    return replace(made, found=replace(made.found, choice=choice, faithfulness=faithful))


def _evidence(activations: Activations, names: ClassNames | None) -> Evidence | None:
    head = activations.head
    return Evidence(head, names_for(head.classes, names)) if head else None


def _chosen(rows: Collected, settings: Settings, progress: Progress) -> ChoiceFound:
    choice = choose_k(rows.A, [grid.cells for grid in rows.grids], seed=settings.seed, progress=progress)
    tried = tuple(TriedK(one.k, one.explained, one.seeds, one.halves) for one in choice.tried)
    return ChoiceFound(choice.k, choice.reason, tried)


def _discovery(
    folder: Path, settings: Settings, sets: Sequence[_Set], rows: Collected, activations: Activations
) -> Discovery:
    shared = None if settings.per_image else sets[0]
    images = shared.images if shared else tuple(image for one in sets for image in _with_own(one))
    H = shared.H if shared else np.concatenate([one.H for one in sets])
    image_peaks = shared.image_peaks if shared else np.concatenate([one.image_peaks for one in sets])
    found = Found(
        fingerprint=activations.fingerprint,
        device=activations.device,
        scale="set" if shared else "image",
        fit=shared.fit if shared else None,
        concepts=shared.concepts if shared else (),
        images=images,
        failures=tuple(map(failure_of, rows.failures)),
        scores=relative(image_peaks) if shared and isinstance(H, np.memmap) else None,
    )
    return Discovery(
        folder=folder,
        settings=settings,
        found=found,
        paths=tuple(seen.path for seen in rows.seen),
        H=H,
        W=shared.W if shared else None,
        image_peaks=image_peaks,
        heats=shared.heats if shared else Heats(H, rows.grids),
        sharp=shared.sharp if shared else tuple(maps for one in sets for maps in one.sharp),
    )


def _factorized(
    A: Array,
    seen: Sequence[Seen],
    folder: Path,
    k: int,
    settings: Settings,
    beside: Beside,
    held: Held,
    progress: Progress | None = None,
    missing: Sequence[Path] = (),
) -> _Set:
    grids = [one.grid for one in seen]
    cuts, blocks = cut_by_chunks([one.path for one in seen], [grid.cells for grid in grids], missing)
    fitted = factorize(A, k, solver=settings.solver, seed=settings.seed, cuts=cuts, blocks=blocks, room=held.room)
    with single_threaded_blas():
        thresholds = set_thresholds(fitted.H, grids, sizes_of(seen, settings), settings.threshold)
    of_images = losses(A, fitted.H, fitted.W, [grid.cells for grid in grids])
    # From here on everything is small, or made for files: the host's work.
    H = held.coefficients(fitted.H)
    W = np.asarray(to_numpy(fitted.W), np.float32)
    image_peaks = peaks(H, grids)
    highest = image_peaks.max(axis=0)
    heats = Heats(H, grids)
    sharp = held.maps(sharpened(folder, seen, heats, thresholds, highest, settings.crf, progress or Silent()))
    found = regions_in(sharp or heats, np.full_like(thresholds, ON) if sharp else thresholds, seen, settings)
    return _Set(
        H=H,
        W=W,
        fit=fit_of(fitted, A.shape, k, settings),
        concepts=concepts_of(fitted, thresholds, highest, W, beside),
        image_peaks=image_peaks,
        heats=heats,
        images=held.images(images_with(seen, relative(image_peaks), found, of_images.tolist()), seen),
        sharp=sharp,
    )


def concepts_of(
    fitted: Factorization,
    thresholds: NDArray[np.float32],
    highest: NDArray[np.float32],
    W: NDArray[np.float32],
    beside: Beside,
) -> tuple[ConceptFound, ...]:
    """The concepts of a factorization.

    Args:
        fitted: it.
        thresholds, highest: of each concept over the set.
        W: `(k, c)` on the host.
        beside: what they are looked at beside.
    """
    total = sum(fitted.energy) or 1.0
    classes = spoken_for(W, highest, beside.evidence)
    dress = (
        dressed(W, beside.like) if beside.like else [Dress(None, hexadecimal(colour(j)), None) for j in range(len(W))]
    )
    return tuple(
        ConceptFound(
            number=j,
            name=dress[j].name,
            colour=dress[j].colour,
            energy=energy / total,
            threshold=float(thresholds[j]),
            peak=float(highest[j]),
            classes=classes[j],
            like=dress[j].like,
        )
        for j, energy in enumerate(fitted.energy)
    )


def fit_of(fitted: Factorization, shape: tuple[int, int], k: int, settings: Settings) -> Fit:
    """How a factorization of rows of this shape went."""
    return Fit(
        k=k,
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
