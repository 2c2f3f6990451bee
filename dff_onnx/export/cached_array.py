"""Arrays on disk that are filled photograph by photograph. What was done survives a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.lib.format import open_memmap

from dff_onnx.errors import OutputError, UsageError
from dff_onnx.files import write_atomically

T = TypeVar("T", bound=np.generic)
Say = Callable[[str], None]
OTHER = "is of another training; choose another --work, or delete it"


@dataclass
class CachedArray:
    """An array `(photographs, ...)` in a file, and a note beside it.

    Attributes:
        array: mapped, may be written.
        note: the file that says what it was made from, and how far.
        said: what it was made from.
        done: how many photographs it holds.
    """

    array: Any
    note: Path
    said: dict[str, Any]
    done: int

    @classmethod
    def open(cls, work: Path, name: str, shape: tuple[int, ...], kind: type[T], said: dict[str, Any]) -> CachedArray:
        """Opens, or makes, `NAME.npy` and its note in a folder.

        Raises:
            UsageError: when it was made from something else.
            OutputError: when the file cannot be used.
        """
        note = work / f"{name}.json"
        array = mapped(work / f"{name}.npy", shape, kind)
        return cls(array, note, said, _done(note, said) if note.is_file() else 0)

    def save(self, done: int) -> None:
        """Says that so many photographs are done."""
        self.array.flush()
        self.done = max(self.done, done)
        write_atomically(self.note, json.dumps(self.said | {"done": self.done}).encode())


def mapped(path: Path, shape: tuple[int, ...], kind: type[T]) -> np.memmap[tuple[int, ...], np.dtype[T]]:
    """An array in a file, made where there is none.

    Raises:
        UsageError: when it has another shape.
        OutputError: when the file cannot be used.
    """
    try:
        if not path.is_file():
            return open_memmap(path, "w+", kind, shape)
        array: np.memmap[tuple[int, ...], np.dtype[T]] = open_memmap(path, "r+")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be used as a cache ({error}); choose another --work") from error
    if array.shape != shape or array.dtype != kind:
        raise UsageError(f"{path}: {OTHER}")
    return array


def make_folder(work: Path) -> None:
    """Makes the folder of a training.

    Raises:
        OutputError: when it cannot be made.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{work}: cannot be made ({error.strerror})") from error


def names_digest(names: Sequence[str]) -> str:
    """Tells one list of photographs from another.

    >>> names_digest(["a.jpg"])[:8]
    '509b0d46'
    """
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _done(note: Path, said: dict[str, Any]) -> int:
    """How many photographs an array holds already."""
    kept = json.loads(note.read_text(encoding="utf-8"))
    done = int(kept.pop("done"))
    if kept != json.loads(json.dumps(said)):
        raise UsageError(f"{note}: {OTHER}")
    return done
