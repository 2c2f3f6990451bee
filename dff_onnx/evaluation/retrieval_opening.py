"""Which retrieval set a folder holds: told, or found by its files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from dff_onnx.datasets import (
    RetrievalSet,
    read_class_folders,
    read_holidays,
    read_instre,
    read_oxford,
    read_revisited,
)
from dff_onnx.datasets.instre import FILE as INSTRE
from dff_onnx.datasets.oxford import QUERY
from dff_onnx.datasets.paths import is_folder, pictures_below
from dff_onnx.datasets.revisited import FILES as REVISITED
from dff_onnx.errors import UsageError

SetKind = Literal["folders", "oxford", "revisited", "instre", "holidays"]
HOLIDAYS = re.compile(r"1\d{5}")  # the names of its pictures

_WITH_TRUTH: dict[SetKind, Callable[[Path, Path | None], RetrievalSet]] = {
    "oxford": read_oxford,
    "revisited": read_revisited,
    "instre": read_instre,
}
_ALONE: dict[SetKind, Callable[[Path], RetrievalSet]] = {"folders": read_class_folders, "holidays": read_holidays}


def open_retrieval(root: Path, kind: str | None = None, truth: Path | None = None) -> RetrievalSet:
    """Reads a retrieval set.

    Args:
        root: its folder.
        kind: of it, one of `SetKind`; None: by its files.
        truth: where the ground truth lies apart from the pictures, for those that have one.

    Raises:
        DatasetError: when something is missing or malformed.
        UsageError: when there is no such path or kind, or the kind has no ground truth of its own.
    """
    if not is_folder(root):
        raise UsageError(f"DATASET {root}: there is no such folder; give the folder of the pictures")
    if truth is not None and not truth.exists():
        raise UsageError(f"--truth {truth}: is not there; give the ground truth's file or folder")
    named = _named(kind) if kind is not None else kind_of(root, truth)
    if named in _ALONE:
        if truth is not None:
            raise UsageError(f"--truth: a set of the kind {named} has no ground truth but its folders and names")
        return _ALONE[named](root)
    return _WITH_TRUTH[named](root, truth)


def kind_of(root: Path, truth: Path | None = None) -> SetKind:
    """By the ground truth; without one, by the names of the pictures."""
    if truth is not None:
        by_suffix: dict[str, SetKind] = {".mat": "instre", ".pkl": "revisited"}
        return by_suffix.get(truth.suffix, "oxford")
    if (root / INSTRE).exists():
        return "instre"
    if any(root.glob(REVISITED)):
        return "revisited"
    if any(root.glob(f"*{QUERY}")) or any(root.glob(f"*/*{QUERY}")):
        return "oxford"
    names = [path.stem for path in pictures_below(root)]
    return "holidays" if all(HOLIDAYS.fullmatch(name) for name in names) else "folders"


def _named(kind: str) -> SetKind:
    for known in get_args(SetKind):
        if kind == known:
            found: SetKind = known
            return found
    raise UsageError(f"--kind: {kind!r} is not one of {', '.join(get_args(SetKind))}")
