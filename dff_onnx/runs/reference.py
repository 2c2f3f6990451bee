"""What the Python pipeline says of pixels, under the names of a compiled file's outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import to_numpy
from dff_onnx.arrays.helpers import like
from dff_onnx.backbone.protocol import Activations
from dff_onnx.cam.class_maps import class_maps, ranked_classes
from dff_onnx.concepts.bank import Bank
from dff_onnx.deploy.classes import MAPPED
from dff_onnx.deploy.concepts import BOXES
from dff_onnx.deploy.foreground import FOREGROUND
from dff_onnx.deploy.metadata import Compiled
from dff_onnx.factorization import losses, nonnegative_least_squares
from dff_onnx.linear_head import LinearHead
from dff_onnx.maps import mask, upsample
from dff_onnx.maps.regions import regions_of
from dff_onnx.records import Grid
from dff_onnx.runs.collect import rows_of
from dff_onnx.runs.parts import channels_last

Outputs = dict[str, NDArray[Any]]


def reference(
    about: Compiled, bank: Bank, activations: Activations, pixels: NDArray[np.uint8], classes: NDArray[np.intp] | None
) -> Outputs:
    """Of one picture.

    Args:
        about: the compiled file.
        bank: that it was made of.
        activations: the bank's network.
        pixels: `(1, height, width, 3)`.
        classes: whose maps are wanted, `(1, m)`; by default the best.

    Returns:
        arrays as the file gives them, `(1, ...)` each.
    """
    values = activations(pixels)
    size, grid = Grid(*pixels.shape[1:3]), Grid(*values.shape[2:])
    found: Outputs = {}
    if about.concepts:
        A = rows_of(values)
        W = like(bank.W, A)
        H = nonnegative_least_squares(A, W, threads=1, exact=True)
        found |= {"loss": losses(A, H, W, [grid.cells])}
        found |= _concepts(
            about, bank, np.asarray(to_numpy(H), np.float32).T.reshape(-1, grid.height, grid.width), size
        )
    if bank.foreground is not None and about.foreground is not None:
        along = bank.foreground.values(rows_of(values)).reshape(grid.height, grid.width)
        soft = bank.foreground.soft(along, size)
        found[FOREGROUND] = soft[None]
        found[f"{FOREGROUND}_{BOXES[about.boxes]}"] = boxes_of(soft[None] >= 0.5, about.boxes == "regions")[None]
    if about.classes and activations.head is not None:
        found |= _classes(activations.head, np.asarray(to_numpy(channels_last(values)), np.float32), size, classes)
    return found


def _concepts(about: Compiled, bank: Bank, heat: NDArray[np.float32], size: Grid) -> Outputs:
    highest = np.where(bank.peaks > 0, bank.peaks, 1).astype(np.float32)
    enlarged = upsample(heat, size.height, size.width)
    masks = mask(enlarged, bank.thresholds)
    return {
        "heatmaps": (enlarged / highest[:, None, None])[None],
        "scores": np.minimum(heat.max(axis=(1, 2)) / highest, 1)[None],
        BOXES[about.boxes]: boxes_of(masks, about.boxes == "regions")[None],
    }


def _classes(head: LinearHead, features: NDArray[np.float32], size: Grid, classes: NDArray[np.intp] | None) -> Outputs:
    scores = to_numpy(head.scores(features))
    chosen = ranked_classes(scores, MAPPED) if classes is None else classes
    maps = to_numpy(class_maps(features, head, chosen))
    return {
        "class_scores": scores,
        "classes": ranked_classes(scores, MAPPED),
        "class_heatmaps": upsample(maps, size.height, size.width),
    }


def boxes_of(masks: NDArray[np.bool_], largest: bool) -> NDArray[np.int32]:
    """Boxes `(m, 4)` of masks `(m, height, width)`: of the largest region, or of the whole; zeros where empty.

    >>> boxes_of(np.array([[[True, False, True]]]), largest=False).tolist()
    [[0, 0, 3, 1]]
    """
    found = np.zeros((len(masks), 4), np.int32)
    for j, regions in enumerate(one.regions for one in regions_of(masks)):
        kept = [region.box for region in (regions[:1] if largest else regions)]
        if kept:
            found[j] = (
                min(box.x0 for box in kept),
                min(box.y0 for box in kept),
                max(box.x1 for box in kept),
                max(box.y1 for box in kept),
            )
    return found
