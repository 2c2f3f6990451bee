"""The folder where downloads and what was made of them are kept, and locks between processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dff_onnx.errors import OutputError, UsageError
from dff_onnx.locks import taken

VARIABLE = "DFF_ONNX_CACHE"
# How often a lock is asked for, in seconds.
PATIENCE = 0.2


def cache_folder() -> Path:
    """`DFF_ONNX_CACHE`, or where the system keeps caches: `~/.cache/dff-onnx` on Linux."""
    if named := os.environ.get(VARIABLE):
        try:
            return Path(named).expanduser()
        except RuntimeError as error:
            raise UsageError(f"{VARIABLE}: {named!r} names no folder ({error})") from error
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "dff-onnx" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dff-onnx"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dff-onnx"


@contextmanager
def locked(target: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Holds a file's lock, which lies beside it; the system lets go of it when a process dies.

    Args:
        target: the file that one process at a time may make; its folder is made where it is missing.
        waiting: is called once when another process holds the lock.

    Raises:
        OutputError: when the folder cannot be written.
    """
    path = target.with_name(f"{target.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); {VARIABLE} names another cache folder"
        ) from error
    with file:
        told = False
        while not taken(file):
            if not told:
                waiting()
                told = True
            time.sleep(PATIENCE)
        yield  # closing the file frees the lock
