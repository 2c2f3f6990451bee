"""Pictures become descriptors: one vector for each, and vectors with boxes for its parts.

Every kind is parts that are added up: the whole picture, the squares of R-MAC's grid, salient regions, or the concepts
of a factorization of this picture alone. A whitening, where there is one, is of the parts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dff_onnx.arrays import Array, namespace_of, to_numpy
from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.arrays.helpers import like
from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.directions import centre_prior
from dff_onnx.errors import UsageError
from dff_onnx.factorization import factorize
from dff_onnx.images import Picture, Resize, read_query, read_square
from dff_onnx.maps import mask, upsample
from dff_onnx.maps.regions import regions_of
from dff_onnx.npz_file import SHA256
from dff_onnx.records import Box, Grid
from dff_onnx.retrieval import (
    Whitening,
    Window,
    added_up,
    codes,
    concept_vectors,
    concept_weights,
    crow,
    energy_shares,
    gem,
    mac,
    normalized,
    over_scales,
    region_vectors,
    regions,
    spoc,
    target_sizes,
    ucrow,
)
from dff_onnx.retrieval.saliency import SalientRegions
from dff_onnx.runs.collect import checked_activations, finite_activations, rows_of
from dff_onnx.runs.object_votes import ObjectVotes
from dff_onnx.runs.salient_parts import found_regions

Kind = Literal["dff", "rmac", "mac", "spoc", "gem", "crow", "ucrow", "codes", "fs-egm", "os-egm"]
Weights = Literal["equal", "energy", "root", "centre"]
POOLINGS = {"mac": mac, "spoc": spoc, "gem": gem, "crow": crow, "ucrow": ucrow, "codes": codes}
USUAL_SIZE, USUAL_SQUARE = 320, 224  # pixels; `codes` come of the squares that classifiers were trained on
CENTRE = 0.5  # standard deviation of the prior of `centre`, in halves of the picture's sides
ROUNDING = 1e-9  # of the energy: a concept below it was not needed, and is where rounding left it
HALF_PEAK = 0.5  # of a concept's peak in its picture: what its box is around
MOST_CONCEPTS, MOST_LEVELS, MOST_SCALES = 1000, 10, 10
STRIDE = 32  # pixels a side that every network can look at

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DescriptorSettings:
    """What describes a picture.

    Attributes:
        kind: of descriptor.
        size: pixels of the longer side, 320 where 0; nothing is enlarged. For `codes` both sides of a square, 224
            where 0, whatever the aspect: a fully connected layer takes no other.
        k: concepts of a picture, for `dff`; fewer where it has fewer cells.
        weights: of the concepts in the sum, for `dff`: 1, the share of the energy, its square root, or the square root
            of how much of a concept's heat lies near the middle of the picture.
        levels: of R-MAC's grid.
        scales: of the picture; the descriptors of all are added up, parts are those of the first.
        votes: sha256 of the votes of a collection, for `os-egm`; `dff-onnx objects` makes them.
    """

    kind: Kind = "dff"
    size: int = 0
    k: int = 12
    weights: Weights = "centre"
    levels: int = 3
    scales: tuple[float, ...] = (1.0,)
    votes: str = ""

    def __post_init__(self) -> None:
        for value, choices in ((self.kind, Kind), (self.weights, Weights)):
            if value not in get_args(choices):
                raise UsageError(f"descriptor: {value!r} is not one of {', '.join(get_args(choices))}")
        object.__setattr__(self, "size", self.size or (USUAL_SQUARE if self.kind == "codes" else USUAL_SIZE))
        Resize("long", self.size)  # judges the size
        if not 1 <= self.k <= MOST_CONCEPTS or not 1 <= self.levels <= MOST_LEVELS:
            raise UsageError(
                f"descriptor: k of 1 to {MOST_CONCEPTS} and levels of 1 to {MOST_LEVELS} are needed, found {self.k}, "
                f"{self.levels}"
            )
        if not 1 <= len(self.scales) <= MOST_SCALES or not all(0 < scale <= 1 for scale in self.scales):
            raise UsageError(f"descriptor: 1 to {MOST_SCALES} scales above 0, to 1, are needed, found {self.scales}")
        if self.kind == "codes" and self.scales != (1.0,):
            raise UsageError("descriptor: codes are of squares of one size; leave out --scales and --multi-scale")
        if self.kind == "os-egm" and not SHA256.fullmatch(self.votes):
            raise UsageError("descriptor: os-egm needs the votes of a collection; see `dff-onnx objects --index`")
        object.__setattr__(self, "scales", tuple(map(float, self.scales)))  # equal settings have equal texts

    def to_dict(self) -> dict[str, Any]:
        """What two descriptors must share to be compared, as JSON stores it."""
        own: dict[str, Any] = {}
        if self.kind == "dff":
            own = {"k": self.k, "weights": self.weights}
        elif self.kind == "rmac":
            own = {"levels": self.levels}
        elif self.kind == "os-egm":
            own = {"votes": self.votes}
        return {"size": self.size, "scales": list(self.scales), **own}

    @classmethod
    def from_dict(cls, kind: str, fields: Mapping[str, Any]) -> DescriptorSettings:
        """The inverse of `to_dict`; raises UsageError for values that cannot be.

        >>> DescriptorSettings.from_dict("rmac", {"size": 64, "scales": [1.0], "levels": 2}).levels
        2
        """
        try:
            scales = tuple(map(float, fields["scales"]))
            found = cls(**{"kind": kind, **fields, "scales": scales})
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(f"descriptor: {error}") from error
        if any(type(value) is not int for name, value in fields.items() if name not in ("scales", "weights", "votes")):
            raise UsageError(f"descriptor: {ascii(dict(fields))[:160]} has figures that are not whole")
        said = {**fields, "scales": list(scales)}
        if json.dumps(found.to_dict(), sort_keys=True) != json.dumps(said, sort_keys=True):
            raise UsageError(f"descriptor: {ascii(dict(fields))[:160]} are no settings of {kind!r}")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """The descriptors of a picture.

    Attributes:
        vector: `(d,)` of unit length; zeros for a picture without activations.
        parts: `(p, d)` each of unit length; none for kinds that look at the whole picture.
        boxes: of the parts, in pixels of the file's picture.
        scores: of the parts, 0..1: a concept's share of the energy; a region's mean saliency; 1 for squares.
    """

    vector: Floats
    parts: Floats
    boxes: tuple[Box, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Describer:
    """Makes the descriptors of pictures.

    Attributes:
        activations: the network.
        settings: what kind.
        whitening: of the parts, None where there is none.
        votes: of a collection, for `os-egm`.

    >>> from dff_onnx.backbone.session import Backbone
    >>> describer = Describer(Backbone.open(threads=1), DescriptorSettings(size=64, k=2))
    >>> frame = sorted((Path(__file__).parents[2] / "examples" / "rodents").glob("*.jpg"))[0]
    >>> found = describer.describe(describer.read(frame))
    >>> found.vector.shape, found.parts.shape, len(found.boxes)
    ((384,), (2, 384), 2)
    """

    activations: Activations
    settings: DescriptorSettings = field(default_factory=DescriptorSettings)
    whitening: Whitening | None = None
    votes: ObjectVotes | None = None

    def __post_init__(self) -> None:
        if (self.settings.kind == "os-egm") != (self.votes is not None):
            raise UsageError("descriptor: os-egm needs the votes of a collection, and no other kind does")

    @property
    def dimensions(self) -> int:
        """Of the vectors; a small black picture is looked at.

        Raises:
            ArrayError: for a whitening of another network's activations.
        """
        side = self.settings.size if self.settings.kind == "codes" else 2 * STRIDE
        black = np.zeros((side, side, 3), np.uint8)
        return len(self.describe(Picture(black, Grid(*black.shape[:2]))).vector)

    def read(self, path: Path, box: Box | None = None) -> Picture:
        """A picture, or a part of one, as large as it is looked at.

        Raises:
            ImageError: when the file cannot be used.
            UsageError: for a box outside the picture.
        """
        return read_as_described(path, box, self.settings)

    def describe(self, picture: Picture, name: str | None = None) -> Described:
        """The descriptors of a picture.

        Args:
            picture: as `read` gives it.
            name: its path in the collection whose regions vote, where it is one of it: its own have no vote.

        Raises:
            ModelError: when activations are negative or not finite.
        """
        with single_threaded_blas():  # the same bits for any number of threads
            return self._described(picture, name)

    def _described(self, picture: Picture, name: str | None) -> Described:
        found = [self._parts(pixels, name) for pixels in at_scales(picture.pixels, self.settings.scales)]
        whole = whole_vector(found, self.whitening)
        first = found[0]
        wanted, parts = own_parts(found, self.whitening)
        boxes = tuple(_on_file(box, picture) for box in first.boxes if box is not None)
        return Described(whole, parts, boxes, tuple(first.scores[i] for i in wanted))

    def part_vectors(self, picture: Picture) -> Floats:
        """What a whitening is learnt on: the parts at all scales, unit length, `(p, c)`, none of them zero."""
        with single_threaded_blas():
            return learnable([self._parts(pixels) for pixels in at_scales(picture.pixels, self.settings.scales)])

    def _parts(self, pixels: NDArray[np.uint8], name: str | None = None) -> Parts:
        X, size = activations_for(pixels, self.activations, self.settings), Grid(*pixels.shape[:2])
        if self.votes is None:
            return parts_of(X, size, self.settings)
        own = None if name is None else self.votes.number_of(name)
        return _salient(X, size, found_regions(X, self.votes, self.whitening, own))


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The parts of a picture at one size.

    Attributes:
        vectors: `(p, c)`, of unit length.
        weights: `(p,)` in the sum.
        boxes: in pixels of this size; None for a part that is not one of its own: the whole, a concept nobody sees.
        scores: of the parts.
        size: of the picture.
    """

    vectors: Array
    weights: NDArray[np.float64]
    boxes: tuple[Box | None, ...]
    scores: tuple[float, ...]
    size: Grid


def read_as_described(path: Path, box: Box | None, settings: DescriptorSettings) -> Picture:
    """A picture, or a part of one, as large as these descriptors look at it; errors as `read_query`."""
    read = read_square if settings.kind == "codes" else read_query
    return read(path, box, settings.size)


def activations_for(pixels: NDArray[np.uint8], activations: Activations, settings: DescriptorSettings) -> Array:
    """Activations `(1, c, h, w)` of one picture; those of `codes` may be negative, for they are not added up.

    Raises:
        ModelError: when they are negative or not finite.
    """
    look = finite_activations if settings.kind == "codes" else checked_activations
    return look(pixels[None], activations)


def at_scales(pixels: NDArray[np.uint8], scales: Sequence[float]) -> list[NDArray[np.uint8]]:
    """A picture at the sizes at which it is looked at."""
    sizes = target_sizes(Grid(*pixels.shape[:2]), STRIDE, scales)
    return [_resized(pixels, size) for size in sizes]


def parts_of(X: Array, size: Grid, settings: DescriptorSettings) -> Parts:
    """The parts of one picture at one size.

    Args:
        X: `(1, c, h, w)` activations, `>= 0`.
        size: of the picture in pixels.
        settings: what a part is.
    """
    if settings.kind == "dff":
        return _concepts(X, size, settings)
    if settings.kind == "rmac":
        windows = regions(X.shape[2], X.shape[3], settings.levels)
        return _windows(X, size, windows, (1.0,) * len(windows))
    if settings.kind == "fs-egm":
        return _salient(X, size, found_regions(X))
    return Parts(normalized(POOLINGS[settings.kind](X)), np.ones(1), (None,), (1.0,), size)


def whole_vector(found: Sequence[Parts], whitening: Whitening | None) -> Floats:
    """The vector of a picture, `(d,)`, from its parts at every size."""
    vectors = [np.asarray(to_numpy(_summed(one, whitening)), np.float32)[None] for one in found]
    return np.asarray(over_scales(vectors)[0], np.float32)


def own_parts(found: Sequence[Parts], whitening: Whitening | None) -> tuple[list[int], Floats]:
    """Which parts of the first size have a place of their own, and their vectors `(p, d)`."""
    first = found[0]
    wanted = [i for i, box in enumerate(first.boxes) if box is not None]
    return wanted, np.asarray(to_numpy(_whitened(first.vectors, whitening)), np.float32)[wanted]


def learnable(found: Sequence[Parts]) -> Floats:
    """The parts of a picture at all sizes that a whitening can be learnt on: `(p, c)`, none of them zero."""
    rows = np.concatenate([to_numpy(one.vectors) for one in found])
    return np.asarray(rows[rows.any(axis=1)], np.float32)


def _whitened(vectors: Array, whitening: Whitening | None) -> Array:
    return vectors if whitening is None else whitening(vectors)


def _summed(parts: Parts, whitening: Whitening | None) -> Array:
    vectors = _whitened(parts.vectors, whitening)
    return added_up(vectors, namespace_of(vectors).asarray(parts.weights, dtype=vectors.dtype))


def _concepts(X: Array, size: Grid, settings: DescriptorSettings) -> Parts:
    xp, grid, rows = namespace_of(X), Grid(*X.shape[2:]), rows_of(X)
    if not bool(xp.any(rows > 0)):
        return _nothing(X, size)
    found = factorize(rows, min(settings.k, *rows.shape), threads=1)
    shares = np.asarray(to_numpy(energy_shares(found.W, found.H)), np.float64)
    heat = np.asarray(to_numpy(found.H), np.float32).T.reshape(-1, grid.height, grid.width)
    maps = upsample(heat, size.height, size.width)
    masks = regions_of(mask(maps, HALF_PEAK * maps.max(axis=(1, 2))))
    there = shares > ROUNDING
    boxes = tuple(one.regions[0].box if one.regions and used else None for one, used in zip(masks, there, strict=True))
    vectors = concept_vectors(found.W, found.H)
    vectors = xp.where(like(there, vectors)[:, None], vectors, xp.zeros_like(vectors))
    weights = _weights(settings.weights, shares, heat)
    return Parts(vectors, weights, boxes, tuple(shares.tolist()), size)


def _weights(kind: Weights, shares: NDArray[np.float64], heat: Floats) -> NDArray[np.float64]:
    """Of concepts in the sum, from their shares of the energy or their maps `(k, h, w)`."""
    if kind != "centre":
        return np.asarray(concept_weights(shares, kind), np.float64)
    prior = centre_prior(Grid(*heat.shape[1:]), CENTRE).astype(np.float64)
    total = heat.sum(axis=(1, 2), dtype=np.float64)
    return np.asarray(np.sqrt((heat * prior).sum(axis=(1, 2)) / np.where(total > 0, total, 1.0)), np.float64)


def _salient(X: Array, size: Grid, found: SalientRegions) -> Parts:
    if not found.windows:
        return _nothing(X, size)
    return _windows(X, size, found.windows, found.scores)


def _nothing(X: Array, size: Grid) -> Parts:
    """Of a picture that the network sees nothing in."""
    return Parts(namespace_of(X).zeros((1, X.shape[1]), dtype=X.dtype), np.ones(1), (None,), (0.0,), size)


def _windows(X: Array, size: Grid, windows: Sequence[Window], scores: tuple[float, ...]) -> Parts:
    down, across = size.height / X.shape[2], size.width / X.shape[3]
    boxes = tuple(
        Box(*(round(v) for v in (w.x * across, w.y * down, (w.x + w.width) * across, (w.y + w.height) * down)))
        for w in windows
    )
    return Parts(region_vectors(X, windows)[0], np.ones(len(windows)), boxes, scores, size)


def _on_file(box: Box, picture: Picture) -> Box:
    """A box in the pixels of the file's picture, at least one pixel large."""
    full, size = picture.original, Grid(*picture.pixels.shape[:2])
    x0, x1 = _stretched(box.x0, box.x1, full.width / size.width, full.width)
    y0, y1 = _stretched(box.y0, box.y1, full.height / size.height, full.height)
    return Box(x0, y0, x1, y1)


def _stretched(low: int, high: int, factor: float, most: int) -> tuple[int, int]:
    start = min(int(low * factor), most - 1)
    return start, max(start + 1, min(math.ceil(high * factor), most))


def _resized(pixels: NDArray[np.uint8], size: Grid) -> NDArray[np.uint8]:
    if pixels.shape[:2] == (size.height, size.width):
        return pixels
    image = Image.fromarray(pixels).resize((size.width, size.height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8)
