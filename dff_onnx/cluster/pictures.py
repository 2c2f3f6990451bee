"""Pictures on a worker: decoded and sent through the network there, chunk by chunk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dff_onnx.backbone.cut import Sign
from dff_onnx.backbone.model_file import load_model
from dff_onnx.backbone.protocol import Activations
from dff_onnx.backbone.runtime import Device
from dff_onnx.backbone.session import Backbone
from dff_onnx.cluster.rows import Loaded
from dff_onnx.cluster.storage import content_of
from dff_onnx.errors import ImageError, ModelError
from dff_onnx.factorization import whole_images
from dff_onnx.images import Picture, Resize, read_original, read_picture
from dff_onnx.progress import Silent
from dff_onnx.records import Preprocessing
from dff_onnx.runs.collect import block_of
from dff_onnx.runs.gather import Block, Gathered
from dff_onnx.runs.parts import Batch
from dff_onnx.runs.seen import Seen
from dff_onnx.zoo.by_digest import find_by_digest

# Opens a network, the same each time, wherever it is called; it is sent there.
Network = Callable[[], Activations]
KILLER = "ended the process of every worker that read it"

_opening = threading.Lock()


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A network as workers open it: the same file, at the same path or in their cache.

    Attributes:
        path: of the file, which may be missing on a worker.
        sha256: of it.
        layer, device, preprocessing, sign: see `Backbone.open`.
    """

    path: Path
    sha256: str
    layer: str | None = None
    device: Device = "auto"
    preprocessing: Preprocessing | None = None
    sign: Sign = "keep"

    def __call__(self) -> Backbone:
        """The network, opened once in a process.

        Raises:
            ModelError: when the file is not there.
        """
        with _opening:
            return _opened(self)


@cache
def _opened(network: NetworkFile) -> Backbone:
    file = load_model(network.path) if network.path.is_file() else None
    if file is None or file.sha256 != network.sha256:
        try:
            file = load_model(find_by_digest(network.sha256, network.path))
        except ModelError as error:
            raise ModelError(
                f"on a worker: {error}; workers need the file at the same path, or in their cache"
            ) from error
    return Backbone.open(
        file,
        network.layer,
        device=network.device,
        preprocessing=network.preprocessing,
        sign=network.sign,
        threads=1,
    )


@dataclass(frozen=True, slots=True)
class LoadedPictures(Loaded):
    """A chunk's rows.

    Attributes:
        seen: pictures that were read.
        failures: paths of those that were not, and why.
        device: the network ran on.
    """

    seen: tuple[Seen, ...] = ()
    failures: tuple[tuple[Path, str], ...] = ()
    device: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Neighbours in the sorted list of pictures.

    Attributes:
        folder: a path or an address.
        paths: below it.
        network: that they go through.
        resize: of the pictures.
        left_out: pictures that are not to be touched, as they end processes.
    """

    folder: str
    paths: tuple[Path, ...]
    network: Network
    resize: Resize
    left_out: frozenset[Path] = frozenset()

    def __call__(self) -> LoadedPictures:
        """Decodes them and runs the network, in the batches of a run on one machine."""
        activations, rows = self.network(), Gathered(self.paths)

        def work(batch: Batch[int]) -> Block:
            return block_of(batch, activations)

        threads = 0 if activations.device == "cpu" else activations.workers  # a GPU waits while one of them decodes
        rows.fill(lambda place: self._picture(self.paths[place]), work, threads, Silent())
        A, seen = rows.matrix(), tuple(rows.seen)
        failures = tuple((error.path, error.reason) for error in rows.failures)
        cuts = tuple(whole_images([one.grid.cells for one in seen]))
        none = np.empty((0, 1), np.float32)
        return LoadedPictures(none if A is None else A, cuts, seen, failures, activations.device)

    def alone(self, path: Path) -> Self:
        """The same chunk with one picture alone."""
        return replace(self, left_out=frozenset(self.paths) - {path})

    def _picture(self, path: Path) -> Picture:
        if path in self.left_out:
            raise ImageError(path, KILLER)
        return read_picture(Path(self.folder, path), self.resize, content=content_of(self.folder, path))


def original(folder: str, path: Path, long_side: int) -> NDArray[np.uint8] | None:
    """A picture's own pixels, see `read_original`; None where it can no longer be read."""
    try:
        return read_original(Path(folder, path), long_side, content=content_of(folder, path))
    except ImageError:
        return None
