"""What was discovered in a folder, with the arrays; how masks come from maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays.blas import single_threaded_blas
from dff_onnx.concepts.bank import Bank
from dff_onnx.concepts.foreground import Foreground, ForegroundModel
from dff_onnx.errors import ImageError
from dff_onnx.files import printable
from dff_onnx.maps import MaskFound, mask, set_regions, upsample
from dff_onnx.maps.levels import as_float
from dff_onnx.report.found import ConceptInImage, Failure, Found, ImageFound
from dff_onnx.runs.seen import Seen
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.sharpened import ON
from dff_onnx.threads import available_cores, in_order

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
        image_peaks: `(images, k)` peak of each concept in each image.
        heats: the heat maps `(k, h, w)` of each picture, on the grid of its activations.
        sharp: maps `(k, height, width)` of each picture after the CRF or of foreground mode, 0..255, on from 128; empty
            where masks are made of the heat maps.
        foreground: how foreground mode went, and the model that projects other pictures; None without it.
        applied: the bank that the concepts come from, where nothing was factorized.
    """

    folder: Path
    settings: Settings
    found: Found
    paths: tuple[Path, ...]
    H: NDArray[np.float32]
    W: NDArray[np.float32] | None
    image_peaks: NDArray[np.float32]
    heats: Sequence[NDArray[np.float32]]
    sharp: Sequence[NDArray[np.uint8]] = ()
    foreground: Foreground | None = None
    applied: Bank | None = None

    @property
    def images(self) -> Sequence[ImageFound]:
        """What was found in each picture, in sorted order."""
        return self.found.images

    def heat_map(self, index: int) -> NDArray[np.float32]:
        """The heat maps `(k, h, w)` of a picture, on the grid of its activations."""
        return self.heats[index]

    def maps(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a picture's masks are made of: maps `(k, h, w)` of any size, and thresholds `(k,)`."""
        if self.sharp:
            return as_float(self.sharp[index]), np.full(len(self.sharp[index]), ON, np.float32)
        concepts = self.found.concepts_of(self.images[index])
        return self.heat_map(index), np.asarray([concept.threshold for concept in concepts], np.float32)

    def masks(self, index: int) -> NDArray[np.bool_]:
        """Where each concept is in a picture: `(k, height, width)`, at the picture's own size."""
        maps, thresholds = self.maps(index)
        size = self.images[index].size
        return mask(upsample(maps, size.height, size.width), thresholds)

    def bank(self) -> Bank | None:
        """The concepts or the foreground model, to be saved; None where each picture has its own concepts.

        A bank that was applied comes out as it is.
        """
        if self.applied is not None:
            return self.applied
        if self.foreground is not None:
            return self._foreground_bank(self.foreground.model)
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
            resize=self.settings.resize,
            losses=five_numbers([image.loss for image in self.images if image.loss is not None]),
        )

    def _foreground_bank(self, model: ForegroundModel) -> Bank:
        none = np.zeros(0, np.float32)
        return Bank(
            W=np.zeros((0, len(model.mean)), np.float32),
            thresholds=none,
            peaks=none,
            energy=none,
            names=(),
            colours=(),
            fingerprint=self.found.fingerprint,
            provenance={"images": len(self.images), **self.settings.to_dict()},
            foreground=model,
            resize=model.resize,
        )


def regions_in(
    maps: Sequence[NDArray[np.float32]] | Sequence[NDArray[np.uint8]],
    thresholds: NDArray[np.float32],
    seen: Sequence[Seen],
    settings: Settings,
) -> Iterator[tuple[MaskFound, ...]]:
    """Masks and regions of every picture, in order."""

    def masks(part: range) -> list[tuple[MaskFound, ...]]:
        pictures = ((as_float(maps[i]), seen[i].original) for i in part)
        return list(set_regions(pictures, thresholds, settings.min_share))

    workers = min(4, available_cores(), -(-len(seen) // PART))
    parts = (range(i, min(i + PART, len(seen))) for i in range(0, len(seen), PART))
    with single_threaded_blas():
        for part in in_order(parts, masks, workers):
            yield from part


def images_with(
    seen: Sequence[Seen],
    image_scores: NDArray[np.float32],
    found: Iterable[tuple[MaskFound, ...]],
    losses: Sequence[float | None] | None = None,
) -> Iterator[ImageFound]:
    """The records of pictures, in order.

    Args:
        seen: the pictures.
        image_scores: `(images, k)`.
        found: masks and regions of each, by concept.
        losses: of each, where concepts explain them.
    """
    return (
        ImageFound(
            printable(one.path),
            one.original,
            one.input,
            one.grid,
            tuple(ConceptInImage(j, float(row[j]), here.share, here.regions) for j, here in enumerate(images_masks)),
            loss=loss,
        )
        for one, row, images_masks, loss in zip(seen, image_scores, found, losses or [None] * len(seen), strict=True)
    )


def failure_of(error: ImageError) -> Failure:
    """A picture that could not be used, as files list it."""
    return Failure(printable(error.path), error.reason)


def five_numbers(values: Sequence[float]) -> tuple[float, ...]:
    """Smallest, quartiles and largest, as float32 has them; empty for none.

    >>> five_numbers([4.0, 0.0, 2.0])
    (0.0, 1.0, 2.0, 3.0, 4.0)
    """
    return tuple(float(np.float32(one)) for one in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))) if values else ()
