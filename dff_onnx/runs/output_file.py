"""A file that is written belongs to one set of settings; another one in its place is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dff_onnx.differences import told_differences
from dff_onnx.errors import OutputError, RefusedError, UsageError


def check_output(
    path: Path, wanted: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]], what: str, overwrite: bool
) -> None:
    """Before the work: refuses to write over what is not the same file made again, and where nothing can be written.

    Args:
        path: to be written; nothing need be there.
        wanted: the settings, as plain values of JSON.
        read: the settings of the file that is there; raises `RefusedError` for a file of another kind.
        what: such files hold, for messages.
        overwrite: whether a file of other settings may be replaced; one of another kind never is.

    Raises:
        UsageError: saying what to do.
        OutputError: when nothing can be written there.
    """
    check_writable(path)
    if path.exists():
        _refuse_others(path, wanted, read, what, overwrite)


def check_writable(path: Path, *sources: Path, option: str = "-o") -> None:
    """Before the work: refuses what is no place for a file, and to write over what the file is to be made of.

    Args:
        path: to be written; nothing need be there.
        sources: files that it is made of.
        option: that names the file, for messages.

    Raises:
        UsageError: for a folder, or one of `sources`.
        OutputError: when nothing can be written there.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the name of a file with {option}")
    if path.resolve() in {source.resolve() for source in sources}:
        raise UsageError(f"{path}: is what the file is to be made of; choose another with {option}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent, prefix=".dff-"):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another with {option}") from error


def _refuse_others(
    path: Path, wanted: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]], what: str, overwrite: bool
) -> None:
    try:
        there = read(path)
    except RefusedError as error:
        raise UsageError(
            f"{path}: is there and holds something else than {what}; choose another file with -o, or remove it"
        ) from error
    shared = {key: there.get(key) for key in wanted}
    if shared != wanted and not overwrite:
        raise UsageError(
            f"{path}: holds {what} of other settings ({told_differences(shared, wanted)}); choose another file with "
            "-o, or replace it with --overwrite"
        )
