"""What a run keeps of its work until it has ended, so that a run that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dff_onnx.arrays import Array, to_numpy
from dff_onnx.backbone.protocol import Activations
from dff_onnx.files import printable
from dff_onnx.records import Box
from dff_onnx.runs.machine import machine_memory, processor, versions
from dff_onnx.store import RowStore
from dff_onnx.store.journal import Record


@dataclass(frozen=True, slots=True)
class Keep:
    """Where, and how much may be in memory.

    Attributes:
        folder: nobody else writes in it.
        of: what everything that is kept depends on, plain values.
        memory: bytes that activations may take; of more, they stay on disk.
        prefix: of all names, where several keep something in one folder.
    """

    folder: Path
    of: Mapping[str, Any]
    memory: int
    prefix: str = ""

    def rows(self, name: str, of: Mapping[str, Any], take_up: Callable[[Record], bool]) -> RowStore:
        """Rows on disk: see `RowStore`.

        Raises:
            OutputError: when they cannot be written.
        """
        return RowStore(self.folder, f"{self.prefix}{name}", {**self.of, **of}, take_up)


def keep_in(
    folder: Path, pictures: Path, activations: Activations, memory: int | None = None, prefix: str = ""
) -> Keep:
    """What a run over a folder of pictures keeps.

    Args:
        folder: for it alone.
        pictures: the folder of pictures.
        activations: the network.
        memory: bytes that activations may take; None for a quarter of the machine's.
        prefix: of all names, where several keep something in one folder.
    """
    of = {
        "folder": printable(pictures.resolve()),
        "fingerprint": activations.fingerprint.to_dict(),
        "device": activations.device,
        "versions": versions(),
        "processor": processor(),
    }
    return Keep(folder, of, machine_memory() // 4 if memory is None else memory, prefix)


def below(path: Path, root: Path) -> Path:
    """A file as the lists of `gathering` have it: relative to their root, but for those that lie elsewhere."""
    return path.relative_to(root) if path.is_relative_to(root) else path.absolute()


def stamp_of(path: Path) -> str:
    """What tells whether a file changed."""
    try:
        found = path.stat()
    except OSError:
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"


def digest_of(paths: Sequence[Path], stamps: Sequence[str]) -> int:
    """Of a few files, by their names and stamps."""
    text = b"\0".join(os.fsencode(path) + b"\0" + stamp.encode() for path, stamp in zip(paths, stamps, strict=True))
    return zlib.crc32(text)


def arrays_sha256(*arrays: Array) -> str:
    """What tells arrays from others that rows may have been made with.

    >>> arrays_sha256(np.zeros(2)) == arrays_sha256(np.zeros(3))
    False
    """
    found = hashlib.sha256()
    for array in map(to_numpy, arrays):
        found.update(f"{array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def boxes_sha256(boxes: Iterable[Box | None]) -> str:
    """What tells parts of pictures from others; None stands for all of one."""
    return arrays_sha256(np.asarray([(-1,) * 4 if box is None else astuple(box) for box in boxes], np.int64))
