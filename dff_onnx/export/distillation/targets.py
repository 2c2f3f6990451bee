"""What of a teacher's features is learned: the direction of its strongest channels, or the length of all."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.export.distillation.teacher import Features


def strongest(survey: Iterable[Features], channels: int) -> NDArray[np.int64]:
    """The channels of most energy, in rising order.

    Args:
        survey: a teacher's features `(n, c, h, w)` of some crops, part by part.
        channels: how many are taken.

    Raises:
        UsageError: when the survey is empty, or fewer channels ever answer.
    """
    energies = [np.square(features).mean(axis=(0, 2, 3)) for features in survey]
    if not energies:
        raise UsageError("no photograph to learn from can be read")
    energy = np.mean(energies, axis=0)
    alive = int((energy > 0).sum())
    if alive < channels:
        raise UsageError(f"channels: {channels} of one teacher are too many, only {alive} of it ever answer")
    return np.sort(np.argsort(-energy, kind="stable")[:channels])


def directions(features: Features, chosen: NDArray[np.int64]) -> Features:
    """Unit vectors `(n, channels, h, w)` of the chosen channels, or zeros where none of them answers."""
    found: Features = features[:, chosen]
    found /= np.maximum(lengths(found), np.float32(1e-6))[:, None]
    return found


def lengths(features: Features) -> Features:
    """The length of the feature vector at every place, `(n, h, w)`."""
    found: Features = np.linalg.norm(features, axis=1)
    return found
