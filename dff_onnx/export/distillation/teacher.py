"""A teacher's features, at the places where the student's cells look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.lattice import Lattice, lattice_of
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.session import Backbone
from dff_onnx.errors import ModelError
from dff_onnx.export.distillation.crops import Pixels
from dff_onnx.export.distillation.settings import TeacherAt

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """An open teacher.

    Attributes:
        at: where it came from, and its size.
        backbone: its network.
        lattice: where its cells look.
    """

    at: TeacherAt
    backbone: Backbone
    lattice: Lattice

    @classmethod
    def open(cls, at: TeacherAt) -> Teacher:
        """Reads its file.

        Raises:
            ModelError: when its features can be negative, or lie on no lattice.
        """
        backbone = Backbone.open(at.path, at.layer)
        if not backbone.nonnegative:
            raise ModelError(
                f"{at.path}: {backbone.fingerprint.layer} is not proved to be non-negative; "
                "take a layer behind a ReLU, or make one by `dff-onnx cut --rectify`"
            )
        layer = backbone.fingerprint.layer
        return cls(at, backbone, lattice_of(load_model(at.path).model, layer, at.path))

    def features(self, crops: dict[int, Pixels], lattice: Lattice, cells: int, size: int) -> Features:
        """The features of crops at the student's places.

        Args:
            crops: pixels by size; the teacher takes its own.
            lattice: the student's.
            cells: along each side of the student's grid.
            size: of the student's input.

        Returns:
            `(n, c, cells, cells)`.
        """
        found = np.asarray(self.backbone(crops[self.at.size]), np.float32)
        # Pixel centres lie at whole numbers on both pictures, so the middle of a pixel is what scales.
        centres = (lattice.centres(cells) + 0.5) * (self.at.size / size) - 0.5
        places = (centres - self.lattice.offset) / self.lattice.stride
        return np.asarray(tent(places, found.shape[2]) @ found @ tent(places, found.shape[3]).T, np.float32)


def tent(places: NDArray[np.float64], cells: int) -> Features:
    """Weights `(places, cells)` that average cells around places: linear interpolation, wider where places are rarer.

    Args:
        places: in cells, evenly spaced; those beyond the ends take the outermost cell.
        cells: of the grid that is averaged.

    >>> tent(np.array([0.0, 2.0]), 3).tolist()
    [[0.6666666865348816, 0.3333333432674408, 0.0], [0.0, 0.3333333432674408, 0.6666666865348816]]
    """
    width = max(1.0, float(places[1] - places[0])) if len(places) > 1 else 1.0
    inside = np.clip(places, 0, cells - 1)
    weights = np.maximum(0.0, 1 - np.abs(np.arange(cells)[None] - inside[:, None]) / width)
    normalised: Features = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised
