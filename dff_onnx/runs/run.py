"""`dff-onnx run`: a folder in, a run's folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dff_onnx.backbone.protocol import Activations
from dff_onnx.concepts.bank import Bank, bank_sha256
from dff_onnx.concepts.behind import Scores
from dff_onnx.datasets.class_names import ClassNames
from dff_onnx.progress import Progress
from dff_onnx.runs.claim import claimed, identity_of
from dff_onnx.runs.class_evidence import source_of
from dff_onnx.runs.discover import discover
from dff_onnx.runs.discovery import Discovery
from dff_onnx.runs.keep import keep_in
from dff_onnx.runs.settings import Settings
from dff_onnx.runs.truth import check_truth, truth_setting, with_truth
from dff_onnx.runs.write import write


def run(
    folder: str | Path,
    out: str | Path,
    activations: Activations,
    settings: Settings | None = None,
    *,
    names: ClassNames | None = None,
    like: Bank | None = None,
    scores: Scores | None = None,
    truth: str | Path | None = None,
    overwrite: bool = False,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Discovery:
    """Discovers a folder's concepts and writes heat maps, boxes and scores to `out`.

    The same call on the same `out` writes the same bytes again; other settings on it are refused. A call that was
    ended, however it was, is taken up by the next: pictures that went through the network do not go again.

    Args:
        folder: of pictures, or one picture.
        out: the run's folder, made where it is missing.
        activations: the network, as `Backbone.open` gives it.
        settings: how; k = 4 at 224 x 224 by default.
        names, like, scores: a classifier's classes, a bank, a classifier; see `discover`.
        truth: a folder of masks to compare with; see `dff_onnx.runs.truth`.
        overwrite: replace a run of other settings.
        memory: bytes that activations may take; of more, they stay on disk. A quarter of the machine's by default. It
            changes nothing in what is written.
        progress: follows the stages.

    Raises:
        UsageError: when `out` belongs to something else, or another process is at work there; and as `discover`.
        BankError, NoImagesError, ModelError: as `discover`.
        DatasetError: when the masks cannot be used.
        OutputError: when a file cannot be written.
    """
    folder, out, settings = Path(folder), Path(out), settings or Settings()
    beside = _beside(names, like, scores, truth)
    identity = identity_of(folder, settings.to_dict() | beside, activations.fingerprint)
    if truth is not None:
        check_truth("image" if settings.per_image else "set", truth)
    with claimed(out, folder, identity, overwrite) as work:
        keep = keep_in(work.resume, folder, activations, memory)
        discovery = discover(folder, activations, settings, progress, names, like=like, scores=scores, keep=keep)
        if truth is not None:
            discovery = with_truth(discovery, truth)
        work.settle()
        return write(discovery, out, identity, progress)


def _beside(
    names: ClassNames | None, like: Bank | None, scores: Scores | None, truth: str | Path | None
) -> dict[str, Any]:
    """What a run is looked at beside, as `run.toml` has it."""
    return {
        **({"class_names": source_of(names)} if names is not None else {}),
        **({"like": bank_sha256(like)} if like is not None else {}),
        **({"faithfulness": True} if scores is not None else {}),
        **truth_setting(truth),
    }
