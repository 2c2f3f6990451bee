"""`dff-onnx run`: a folder in, a run's folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.errors import DffError
from dff_onnx.files import printable
from dff_onnx.progress import Progress
from dff_onnx.runs.claim import claim, release
from dff_onnx.runs.class_evidence import source_of
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.write import write


def run(
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    settings: Settings | None = None,
    *,
    names: ClassNames | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Discovery:
    """Discovers a folder's concepts and writes heat maps, boxes and scores to `out`.

    The same call on the same `out` writes the same bytes again; other settings on it are refused.

    Args:
        folder: of pictures, or one picture.
        out: the run's folder, made where it is missing.
        activations: the network, as `Backbone.open` gives it.
        settings: how; k = 4 at 224 x 224 by default.
        names: of a classifier's classes; see `discover`.
        overwrite: replace a run of other settings.
        progress: follows the stages.

    Raises:
        UsageError: when `out` belongs to something else, and as `discover`.
        NoImagesError, ModelError: as `discover`.
        OutputError: when a file cannot be written.
    """
    folder, out, settings = Path(folder), Path(out), settings or Settings()
    identity: dict[str, Any] = {
        "folder": printable(folder.resolve()),
        "settings": settings.to_dict(),
        "fingerprint": activations.fingerprint.to_dict(),
    }
    if names is not None:
        identity["settings"]["class_names"] = source_of(names)
    new = claim(out, folder, identity, overwrite)
    try:
        discovery = discover(folder, activations, settings, progress, names)
    except DffError:
        if new:  # a mistake should not take the folder's name
            release(out)
        raise
    return write(discovery, out, identity, progress)
