"""How a classifier looks at pictures: once, or at ten crops of each that are put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.protocol import Activations
from dff_onnx.cam.class_maps import probabilities, ranked_classes
from dff_onnx.cam.release import ten_crop_map, ten_crops
from dff_onnx.errors import ModelError
from dff_onnx.maps import shrink
from dff_onnx.runs.cam_settings import CamSettings
from dff_onnx.runs.mapping import Mapping
from dff_onnx.runs.parts import channels_last

# Of the maps of ten crops, along a side: a cell is four pixels, and no network has cells that fine.
CANVAS_CELLS = 64


@dataclass(frozen=True, slots=True)
class Looked:
    """What a few pictures of one size show.

    Attributes:
        scores, probabilities: `(n, classes)`, before and behind the softmax; means over crops.
        classes: `(n, m)` numbers of those that were mapped.
        maps: `(n, m, h, w)`, or `(n, 1, h, w)` where classes have no maps of their own.
    """

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float64]
    classes: NDArray[np.intp]
    maps: NDArray[np.float32]


def look(pixels: NDArray[np.uint8], activations: Activations, mapping: Mapping, settings: CamSettings) -> Looked:
    """Asks the network about pictures of one size.

    Args:
        pixels: `(n, height, width, 3)`.
        activations, mapping: the network and the method.
        settings: which classes, how many crops.

    Raises:
        ModelError: when scores or maps are not finite.
    """
    if settings.crops == 10:
        return _joined([_ten(one, activations, mapping, settings) for one in pixels])
    A = channels_last(activations(pixels))
    scores = _finite(mapping.scores(A), activations)
    shares = probabilities(scores)
    classes = wanted_classes(shares, settings)
    return Looked(scores, shares, classes, _from(_finite(mapping.maps(A, classes), activations), settings))


def _ten(pixels: NDArray[np.uint8], activations: Activations, mapping: Mapping, settings: CamSettings) -> Looked:
    """One picture, by its ten crops: means of scores and of probabilities, maps summed where the crops were."""
    A = channels_last(activations(ten_crops(pixels)))
    scores = _finite(mapping.scores(A), activations)
    shares = probabilities(scores).mean(axis=0, keepdims=True)
    classes = wanted_classes(shares, settings)
    maps = _finite(mapping.maps(A, np.repeat(classes, len(A), axis=0)), activations)
    canvas: NDArray[np.float32] = shrink(ten_crop_map(maps), CANVAS_CELLS, CANVAS_CELLS)
    return Looked(scores.mean(axis=0, keepdims=True), shares, classes, _from(canvas[None], settings))


def _from(maps: NDArray[np.float32], settings: CamSettings) -> NDArray[np.float32]:
    """Maps from zero, or from their own minimum."""
    return maps - maps.min(axis=(2, 3), keepdims=True) if settings.from_minimum else maps


def _finite(values: NDArray[np.float32], activations: Activations) -> NDArray[np.float32]:
    """Scores or maps, as a network that overflows or was damaged does not give them."""
    if not np.isfinite(values).all():
        raise ModelError(
            f"layer {activations.fingerprint.layer}: its activations give scores or maps that are not finite; take "
            "another layer with --features, or download or export the network again"
        )
    return np.asarray(values, np.float32)


def _joined(parts: Sequence[Looked]) -> Looked:
    return Looked(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("scores", "probabilities", "classes", "maps")
        )
    )


def wanted_classes(shares: NDArray[np.float64], settings: CamSettings) -> NDArray[np.intp]:
    """The classes to map of each picture, `(n, m)`."""
    if settings.classes:
        return np.tile(np.asarray(settings.classes, np.intp), (len(shares), 1))
    return ranked_classes(shares, settings.top)
