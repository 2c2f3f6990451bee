"""A file of features becomes a file with a head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dff_onnx.files import write_atomically
from dff_onnx.learning.fit import FitSettings, fit_head, head_settings
from dff_onnx.learning.head_file import FittedHead, head_bytes, read_head
from dff_onnx.report.features_file import read_features
from dff_onnx.runs.output_file import check_output


def fit_file(
    features: str | Path, out: str | Path, settings: FitSettings | None = None, *, overwrite: bool = False
) -> FittedHead:
    """Trains a head on a file of features and writes it.

    Args:
        features: as `dff-onnx features` writes them.
        out: the file; the same call on it writes the same bytes again.
        settings: as in `fit_head`.
        overwrite: replace a head of other classes, settings or features.

    Raises:
        UsageError: when `out` holds something else, and as `fit_head`.
        RefusedError: when the features cannot be read.
        OutputError: when the head cannot be written.
    """
    out, settings = Path(out), settings or FitSettings()
    read = read_features(features)
    check_output(out, head_settings(read, settings), _settings, "a head", overwrite)
    fitted = fit_head(read, settings)
    write_atomically(out, head_bytes(fitted))
    return fitted


def _settings(path: Path) -> Mapping[str, Any]:
    return read_head(path).settings()
