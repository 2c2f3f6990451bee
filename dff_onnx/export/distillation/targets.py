"""What the student is to give: the teachers' strongest channels, scaled, times the energy teachers' lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import UsageError
from dff_onnx.export.distillation.teacher import Features


@dataclass(frozen=True)
class Recipe:
    """How features become targets.

    Attributes:
        chosen: indices of the channels taken, into the teachers' channels one after the other, in rising order.
        scale: one figure for each of them.
        energies: root mean square length of each energy teacher's features.
        overall: what makes the mean square of a target 1.
    """

    chosen: NDArray[np.int64]
    scale: NDArray[np.float32]
    energies: tuple[float, ...]
    overall: float

    def targets(self, taught: Sequence[Features], energy: Sequence[Features]) -> Features:
        """Targets `(n, channels, h, w)`.

        Args:
            taught: of each teacher `(n, c, h, w)`, on one grid.
            energy: of each energy teacher, on the same grid.
        """
        found = np.concatenate(taught, axis=1)[:, self.chosen] * self.scale[:, None, None]
        for length, features in zip(self.energies, energy, strict=True):
            found *= np.sqrt(lengths(features)[:, None] / np.float32(length))
        return found * np.float32(self.overall)


def lengths(features: Features) -> Features:
    """The length of the feature vector at every place, `(n, h, w)`."""
    found: Features = np.linalg.norm(features, axis=1)
    return found


def recipe(survey: Iterable[tuple[Sequence[Features], Sequence[Features]]], channels: int) -> Recipe:
    """Chooses the channels of most energy from a survey.

    Args:
        survey: teachers' and energy teachers' features of some crops, part by part.
        channels: how many are taken.

    Raises:
        UsageError: when the survey is empty, or the teachers have fewer channels that ever answer.
    """
    parts = list(survey)
    if not parts:
        raise UsageError("no photograph to learn from can be read")
    squares = [
        np.mean([np.square(taught[i]).mean(axis=(0, 2, 3)) for taught, _ in parts], axis=0)
        for i in range(len(parts[0][0]))
    ]
    energies = tuple(
        float(np.sqrt(np.mean([np.square(lengths(energy[i])).mean() for _, energy in parts])))
        for i in range(len(parts[0][1]))
    )
    shares = np.concatenate([s / max(s.sum(), 1e-12) for s in squares])
    scale = np.concatenate([np.full(len(s), 1 / np.sqrt(max(s.sum(), 1e-12))) for s in squares]).astype(np.float32)
    alive = int((shares > 0).sum())
    if alive < channels or not all(energies):
        raise UsageError(f"channels: {channels} are too many, only {alive} of the teachers' ever answer")
    chosen = np.sort(np.argsort(-shares, kind="stable")[:channels])
    plain = Recipe(chosen, scale[chosen], energies, 1.0)
    power = np.mean([np.square(plain.targets(*part)).mean() for part in parts])
    return Recipe(chosen, scale[chosen], energies, float(1 / np.sqrt(power)))
