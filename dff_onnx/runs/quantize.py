"""`dff-onnx quantize`: a network in eight bits, and what that does to heat maps on pictures that it has not seen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from dff_onnx.backbone.cut import cut
from dff_onnx.backbone.graph import list_layers, metadata_of
from dff_onnx.backbone.metadata import Layer, Metadata
from dff_onnx.backbone.model_file import ModelFile, load_model
from dff_onnx.backbone.session import Backbone, to_input
from dff_onnx.concepts.matching import match
from dff_onnx.deploy.quantize import check_quantizable, quantized
from dff_onnx.errors import ModelError, NoImagesError, UsageError
from dff_onnx.factorization import factorize, nonnegative_least_squares, whole_images
from dff_onnx.files import printable, root_of, walk_pictures, write_atomically
from dff_onnx.images import Resize
from dff_onnx.maps import Threshold, heat_map, mask, offsets, set_thresholds, upsample
from dff_onnx.metrics.overlap import Counts, mask_counts
from dff_onnx.progress import Progress, Silent
from dff_onnx.records import Preprocessing
from dff_onnx.report.found import Failure
from dff_onnx.runs.collect import Collected, collect
from dff_onnx.runs.discovery import failure_of
from dff_onnx.runs.few_pictures import read_few
from dff_onnx.runs.output_file import check_writable
from dff_onnx.runs.parts import BATCH

IMAGES = 20  # to calibrate on; of 20 networks came out as good as of 300 (docs/quantize.md)
MEASURED = 64  # pictures to measure on, at most
ROUNDS, SECONDS = 9, 5.0  # of the timing, at most
# Mean IoU of masks with those of the whole set, when their concepts come from three quarters or from half of its
# pictures (docs/apply.md has 0.90 to 0.92, and 0.85).
QUARTER_LEFT_OUT, HALF_LEFT_OUT = 0.90, 0.85

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ConceptKept:
    """One of the float network's concepts beside that of the quantized network.

    Attributes:
        number: of the float network's.
        cosine: of its direction and that of the one it was matched with.
        iou: of their masks over all pictures, each by its own set's threshold.
        applied: IoU of the concept's own masks in both networks' activations, nothing fitted anew.
    """

    number: int
    cosine: float
    iou: float
    applied: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What eight bits do to the activations of some pictures, and to what is found in them.

    Attributes:
        pictures: how many.
        error: of the activations, `||A - B|| / ||A||`.
        cosine, least_cosine: of a cell's activations in both networks, mean and least; cells of zeros left out.
        concepts: by the float network's numbers.
    """

    pictures: int
    error: float
    cosine: float
    least_cosine: float
    concepts: tuple[ConceptKept, ...]

    @property
    def iou(self) -> float:
        """Mean IoU of matched masks."""
        return fmean(one.iou for one in self.concepts)

    @property
    def applied(self) -> float:
        """Mean IoU of the masks of concepts that were not fitted anew."""
        return fmean(one.applied for one in self.concepts)

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if self.iou >= QUARTER_LEFT_OUT:
            return "heat maps change less than they do when a quarter of the pictures is left out"
        if self.applied >= QUARTER_LEFT_OUT:
            return (
                "the same concepts have the same masks, but the factorization found another solution, "
                "nearly as good; try another -k, or more pictures"
            )
        if self.iou >= HALF_LEFT_OUT:
            return "heat maps change as they do when a quarter to a half of the pictures is left out; look at them"
        return "heat maps change more than they do when half of the pictures is left out; keep the float network"


@dataclass(frozen=True, slots=True)
class Speed:
    """Of both networks on the CPU, side by side: one thread, a few pictures at a time, as a run takes them.

    Attributes:
        float_milliseconds, milliseconds: for a picture.
        ratio: how many times as fast the quantized network is.
    """

    float_milliseconds: float
    milliseconds: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantized network that was written.

    Attributes:
        path: where it is.
        layer: that it ends at.
        calibrated: how many pictures it was calibrated on.
        size, float_size: bytes of the file, and of the float network up to the same layer.
        effect, speed: as measured on other pictures.
        assumed: whether nobody said the preprocessing, and torchvision's was taken.
        failures: pictures that could not be used.
    """

    path: Path
    layer: str
    calibrated: int
    size: int
    float_size: int
    effect: Effect
    speed: Speed
    assumed: bool
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"path": printable(self.path), "verdict": self.effect.verdict}


def quantize(
    model: str | Path,
    calibration: str | Path,
    output: str | Path,
    *,
    layer: str | None = None,
    preprocessing: Preprocessing | None = None,
    resize: Resize | None = None,
    images: int = IMAGES,
    on: str | Path | None = None,
    k: int = 4,
    progress: Progress | None = None,
) -> Quantized:
    """Writes a network up to a layer in eight bits, and measures what that does to heat maps.

    The file takes the same input as the network and says its layer and preprocessing itself. The same call writes the
    same bytes again.

    Args:
        model: an ONNX file in float32.
        calibration: a folder of pictures like those that it will see; at most half of them are calibrated on.
        output: the file to write.
        layer: see `Backbone.open`; its activations must be non-negative.
        preprocessing: what the network was trained on, for files that do not say.
        resize: of the pictures; to 224 x 224 by default.
        images: how many pictures to calibrate on, at most, evenly from the sorted list.
        on: a folder of pictures to measure on; by default the other pictures of `calibration`. Of more than 64, so many
            are taken evenly.
        k: concepts to look for.
        progress: follows the stages.

    Raises:
        UsageError: when there is no such file or folder, k or a count is impossible, or `output` is the model itself.
        NoImagesError: when there is no picture to calibrate or to measure on.
        ModelError: when the network is quantized or halved already, or has no such layer, or cannot be quantized, or
            can be negative there.
        OutputError: when the file cannot be written.
    """
    output, progress, resize = Path(output), progress or Silent(), resize or Resize()
    file = load_model(model)
    check_writable(output, file.path, *file.beside)
    if images < 1:
        raise UsageError(f"images: at least 1 is needed to calibrate on, found {images}")
    backbone = Backbone.open(file, layer, device="cpu", preprocessing=preprocessing, threads=1)
    plain = _plain(file, backbone)
    chosen, root, others = _parted(Path(calibration), images, Path(on) if on is not None else None)
    seen = read_few(Path(calibration), chosen, resize)
    progress.start("float", len(others))
    exact = collect(root, others, backbone, resize, progress)
    if not exact.A.any():
        raise ModelError(f"{file.path}: layer {backbone.fingerprint.layer} is zero on all of these pictures")
    before = _Fit.of(exact, k)
    progress.start("calibrating", len(seen.pixels))
    made = quantized(plain, file.path, _Feed(seen.pixels, backbone), len(seen.pixels))
    data = made.SerializeToString(deterministic=True)
    small = Backbone.open(ModelFile(output, made, hashlib.sha256(data).hexdigest()), device="cpu", threads=1)
    progress.start("eight bits", len(exact.seen))
    rounded = collect(root, [one.path for one in exact.seen], small, resize, progress)
    progress.start("comparing")
    effect = _effect(exact, rounded, before, _Fit.of(rounded, k))
    speed = _speed(backbone, small, seen.pixels[0])
    write_atomically(output, data)
    return Quantized(
        path=output,
        layer=small.fingerprint.layer,
        calibrated=len(seen.pixels),
        size=len(data),
        float_size=plain.ByteSize(),
        effect=effect,
        speed=speed,
        assumed=backbone.assumed,
        failures=(*seen.failures, *map(failure_of, exact.failures)),
    )


def effect_on(exact: Collected, rounded: Collected, k: int) -> Effect:
    """What eight bits do, from the activations of the same pictures in both networks.

    Args:
        exact, rounded: of the float network and of the quantized one, as `collect` gives them; not all zero.
        k: concepts to look for in each of them.

    Raises:
        UsageError: when k is impossible.
    """
    return _effect(exact, rounded, _Fit.of(exact, k), _Fit.of(rounded, k))


def _plain(file: ModelFile, backbone: Backbone) -> ModelProto:
    """The float network up to its layer, which says its layer and preprocessing."""
    layer = backbone.fingerprint.layer
    plain = cut(file, [layer])
    check_quantizable(plain, file.path)
    backbone.check_nonnegative(
        "and is not to be factorized then; take another layer, or quantize what `dff-onnx cut --rectify` or `--split` "
        "makes of it"
    )
    if metadata_of(plain, file.path) is None:
        one = next(one for one in list_layers(file.model, file.path) if one.name == layer)
        layers = (Layer(layer, one.stride, one.channels, one.nonnegative),)
        said = Metadata(file.path.stem, layers, backbone.fingerprint.preprocessing, file.sha256)
        helper.set_model_props(plain, said.to_properties())
    return plain


def _parted(folder: Path, images: int, on: Path | None) -> tuple[list[Path], Path, list[Path]]:
    """Pictures to calibrate on; the folder of those to measure on, and these."""
    paths = walk_pictures(folder)
    if on is not None:
        chosen, root = _evenly(paths, images), root_of(on)
        taken = {(root_of(folder) / path).resolve() for path in chosen}
        others = [path for path in walk_pictures(on) if (root / path).resolve() not in taken]
        if not others:
            raise NoImagesError(f"{on}: holds no picture that is not calibrated on; measure --on others")
        return chosen, root, _evenly(others, MEASURED)
    if len(paths) < 2:
        raise NoImagesError(
            f"{folder}: holds 1 picture, and 2 are needed, one to calibrate and one to measure on; give more, or --on"
        )
    chosen = _evenly(paths, min(images, len(paths) // 2))
    return chosen, root_of(folder), _evenly([path for path in paths if path not in set(chosen)], MEASURED)


def _evenly(paths: Sequence[Path], most: int) -> list[Path]:
    count = min(most, len(paths))
    return [paths[i * len(paths) // count] for i in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class _Feed:
    """Pictures as the network's input takes them."""

    seen: Sequence[NDArray[np.uint8]]
    backbone: Backbone

    def __call__(self, number: int) -> NDArray[Any]:
        batch = np.repeat(self.seen[number], self.backbone.fixed[0] or 1, axis=0)
        return to_input(batch, self.backbone.fingerprint.preprocessing)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A factorization of some pictures' activations.

    Attributes:
        H, W: of it.
        thresholds: `(k,)`, as a run sets them.
    """

    H: Floats
    W: Floats
    thresholds: Floats

    @classmethod
    def of(cls, rows: Collected, k: int) -> _Fit:
        found = factorize(rows.A, k, cuts=whole_images([grid.cells for grid in rows.grids]))
        H, W = np.asarray(found.H, np.float32), np.asarray(found.W, np.float32)
        return cls(H, W, set_thresholds(H, rows.grids, rows.inputs, Threshold()))


def _effect(exact: Collected, rounded: Collected, before: _Fit, after: _Fit) -> Effect:
    pairs = match(before.W, after.W)
    order = [pair.theirs for pair in pairs]
    anew = _Fit(after.H[:, order], after.W[order], after.thresholds[order])
    applied = _Fit(nonnegative_least_squares(rounded.A, before.W), before.W, before.thresholds)
    concepts = tuple(
        ConceptKept(pair.ours, pair.cosine, *ious)
        for pair, *ious in zip(pairs, _ious(exact, before, anew), _ious(exact, before, applied), strict=True)
    )
    error, cosines = _cells(exact, rounded)
    return Effect(len(exact.seen), error, float(cosines.mean()), float(cosines.min()), concepts)


def _ious(rows: Collected, one: _Fit, other: _Fit) -> list[float]:
    """Of the masks of each concept at the size of the network's input, over all pictures; 1 where there are none."""
    counts = [Counts(0, 0)] * len(one.W)
    for start, grid, size in zip(offsets(rows.grids), rows.grids, rows.inputs, strict=False):
        ours, theirs = (
            mask(upsample(heat_map(fit.H, start, grid), size.height, size.width), fit.thresholds)
            for fit in (one, other)
        )
        counts = [count + mask_counts(a, b) for count, a, b in zip(counts, ours, theirs, strict=True)]
    return [count.iou if count.union else 1.0 for count in counts]


def _cells(exact: Collected, rounded: Collected) -> tuple[float, NDArray[np.float64]]:
    """The relative error of the activations, and the cosine of each cell that is not zero in float."""
    wrong, whole, cosines = 0.0, 0.0, []
    for start, end in pairwise(offsets(exact.grids)):  # picture by picture: float64 of all would take twice the memory
        a, b = (np.asarray(rows.A[start:end], np.float64) for rows in (exact, rounded))
        wrong, whole = wrong + float(((a - b) ** 2).sum()), whole + float((a**2).sum())
        seen = a.any(axis=1)
        lengths = np.linalg.norm(a[seen], axis=1) * np.linalg.norm(b[seen], axis=1)
        cosines.append((a[seen] * b[seen]).sum(axis=1) / np.where(lengths > 0, lengths, 1))
    return (wrong / whole) ** 0.5, np.concatenate(cosines)


def _speed(exact: Backbone, rounded: Backbone, picture: NDArray[np.uint8]) -> Speed:
    """By turns, so that whatever else the machine does slows both."""
    pixels = np.repeat(picture, BATCH, axis=0)
    for backbone in (exact, rounded):
        backbone(pixels)  # the first call allocates
    spent: list[tuple[float, float]] = []
    while len(spent) < ROUNDS and sum(map(sum, spent)) < SECONDS:
        before = time.perf_counter()
        exact(pixels)
        between = time.perf_counter()
        rounded(pixels)
        spent.append((between - before, time.perf_counter() - between))
    floats, eights = (1000 * median(times) / BATCH for times in zip(*spent, strict=True))
    return Speed(floats, eights, median(one / other for one, other in spent))
