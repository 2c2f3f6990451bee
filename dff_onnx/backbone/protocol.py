"""What the pipeline knows of a backbone; ONNX Runtime is one plug, a test's function another."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dff_onnx.arrays import Array
from dff_onnx.linear_head import LinearHead
from dff_onnx.records import Fingerprint


class Activations(Protocol):
    """Something that maps an image batch to activations.

    Attributes:
        fingerprint: where the activations come from.
        device: `cpu` or `cuda`, as it really turned out.
        nonnegative: whether the graph proves that no activation is below zero.
        neighbours: layers that might be taken where this one has negative activations.
        workers: how many calls may usefully run side by side.
        head: of a classifier that looks at these activations, None where there is none.
    """

    @property
    def fingerprint(self) -> Fingerprint: ...

    @property
    def device(self) -> str: ...

    @property
    def nonnegative(self) -> bool: ...

    @property
    def neighbours(self) -> tuple[str, ...]: ...

    @property
    def workers(self) -> int: ...

    @property
    def head(self) -> LinearHead | None: ...

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        """Activations `(n, c, h, w)` float32 of RGB pixels `(n, height, width, 3)`, on the host or on the device."""
        ...
