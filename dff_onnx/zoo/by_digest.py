"""A network found by its sha256: all that a bank or an index knows of the file it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dff_onnx.backbone.embedded import embedded_model
from dff_onnx.backbone.model_file import LARGEST
from dff_onnx.errors import ModelError
from dff_onnx.progress import Progress, Silent
from dff_onnx.zoo.cache import cache_folder

MOST = 100  # files of a folder that are looked at


def find_by_digest(sha256: str, bank: str | Path, progress: Progress | None = None) -> Path:
    """Looks for the network of a bank or an index: the embedded one, then beside that file, then in the cache.

    Files are read one after the other until one fits. Of a network with external data the digest covers these, too: it
    is not found so, and needs to be named.

    Args:
        sha256: of the ONNX file.
        bank: the file that names it; for an index on a server, its address.
        progress: follows the search.

    Raises:
        ModelError: saying where it was looked for.

    >>> find_by_digest(hashlib.sha256(embedded_model().read_bytes()).hexdigest(), "bank.npz").name
    'compact.onnx'
    """
    progress = progress or Silent()
    progress.start("finding the network")
    beside, kept = _networks(Path(bank).parent), _networks(cache_folder() / "models")
    for path in _candidates(beside, kept):
        if _digest(path) == sha256:
            return path
    raise ModelError(
        f"{bank}: its network (sha256 {sha256[:12]}...) is neither the embedded one, nor among "
        f"{_count(beside)} beside it, nor among {_count(kept)} in {cache_folder()}; name it with --model"
    )


def _candidates(beside: list[Path], kept: list[Path]) -> Iterator[Path]:
    yield embedded_model()
    yield from beside
    yield from kept


def _networks(folder: Path) -> list[Path]:
    return list(islice((path for path in sorted(folder.glob("*.onnx")) if path.is_file()), MOST))


def _digest(path: Path) -> str | None:
    """None of a file that cannot be read, or can be no network."""
    try:
        if not 0 < path.stat().st_size <= LARGEST:
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _count(paths: list[Path]) -> str:
    return "1 ONNX file" if len(paths) == 1 else f"{len(paths)} ONNX files"
