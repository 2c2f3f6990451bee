"""Features become a head: labels from paths, a machine for each class, and what is worth knowing of both."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from dff_onnx.learning.head_file import FittedHead
from dff_onnx.learning.labels import Labels, labels_by_folder, labels_by_split
from dff_onnx.learning.svm import fit_svm
from dff_onnx.report.features_file import Features


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a head is trained.

    Attributes:
        positive: folders or patterns of one class, the rest is what it is told from; empty: a class a folder.
        C: of the machine; None for cross-validation.
        unit: bring features to unit length first.
    """

    positive: tuple[str, ...] = ()
    C: float | None = 1.0
    unit: bool = True


def fit_head(features: Features, settings: FitSettings | None = None) -> FittedHead:
    """Trains a linear head on pooled features.

    Args:
        features: as `read_features` gives them.
        settings: how; a class a folder, C = 1, unit length by default.

    Raises:
        UsageError: when paths give no classes, a class has too few pictures, or scikit-learn is not installed.
        ArrayError: when a file's features cannot be trained on.
    """
    settings = settings or FitSettings()
    labels = _labels(features, settings)
    fitted = fit_svm(
        features.values, labels.numbers, len(labels.names), C=settings.C, unit=settings.unit, pool=features.pool
    )
    provenance: dict[str, str | int | float | bool] = {
        "C": fitted.C,
        "C_asked": _asked(settings),
        "converged": fitted.converged,
        "folder": features.folder,
        "solver": "scikit-learn LinearSVC",
        **_versions(("dff-onnx", "numpy", "scipy", "scikit-learn")),
    }
    if fitted.accuracy is not None:
        provenance["cv_accuracy"] = fitted.accuracy
    return FittedHead(
        head=fitted.head,
        names=labels.names,
        fingerprint=features.fingerprint,
        resize=features.resize,
        pictures=labels.pictures,
        others=labels.numbers.count(-1),
        provenance=provenance,
    )


def head_settings(features: Features, settings: FitSettings) -> dict[str, Any]:
    """What `FittedHead.settings` will say of a head, before it is trained.

    Raises:
        UsageError: as `fit_head`, when paths give no classes.
    """
    return {
        "names": list(_labels(features, settings).names),
        "pool": features.pool,
        "unit": settings.unit,
        "C": _asked(settings),
        "folder": features.folder,
        "fingerprint": features.fingerprint.to_dict(),
        "resize": features.resize.to_dict(),
    }


def _labels(features: Features, settings: FitSettings) -> Labels:
    if settings.positive:
        return labels_by_split(features.paths, settings.positive)
    return labels_by_folder(features.paths)


def _asked(settings: FitSettings) -> str | float:
    return "cv" if settings.C is None else settings.C


def _versions(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
