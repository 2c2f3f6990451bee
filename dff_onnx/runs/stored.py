"""A run read back from its folder: what was found, and the masks, without the network and without the pictures."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.datasets.paths import is_file, is_folder
from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.files import is_run_folder
from dff_onnx.maps import mask, upsample
from dff_onnx.maps.levels import as_float
from dff_onnx.report.found import ConceptFound, Found, ImageFound
from dff_onnx.report.maps_file import MapsFile, open_maps
from dff_onnx.report.read_results import Results, read_results
from dff_onnx.runs.claim import RUN_FILE
from dff_onnx.runs.sharpened import ON

RESULTS = "results.json"
MAPS = "maps.npz"
LARGEST_RUN_FILE = 2**20


@dataclass(frozen=True, slots=True)
class StoredMaps:
    """What the masks of one picture are made of.

    Attributes:
        maps: `(k, h, w)` float32: heat maps on the grid, or sharpened maps 0..1 of any size.
        thresholds: `(k,)` float32 that they are compared with.
        peaks: `(k,)` float32: what stands for full heat.
    """

    maps: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    peaks: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run on disk. Use it in a `with` block of `read_run`.

    Attributes:
        home: the run's folder.
        folder: of the pictures, as the run was told; it may be gone.
        results: `results.json`.
        min_share: of a picture's pixels that a region needs to be listed beside the largest one.
        file: `maps.npz`, open.
    """

    home: Path
    folder: Path
    results: Results
    min_share: float
    file: MapsFile

    @property
    def found(self) -> Found:
        """All that `results.json` says."""
        return self.results.found

    @property
    def images(self) -> Sequence[ImageFound]:
        """What was found in each picture, in sorted order."""
        return self.found.images

    @property
    def concepts(self) -> tuple[ConceptFound, ...]:
        """Shared by all pictures; empty where each has its own."""
        return self.found.concepts

    def maps(self, index: int) -> StoredMaps:
        """What a picture's masks are made of.

        Raises:
            RefusedError: when `maps.npz` is damaged there, or is not of this run.
        """
        image = self.images[index]
        stored = self.file.read(index, len(image.concepts), signed=self.found.class_maps is not None)
        if stored.dtype == np.uint8:
            k = len(stored)
            return StoredMaps(as_float(stored), np.full(k, ON, np.float32), np.ones(k, np.float32))
        if stored.shape[1:] != (image.grid.height, image.grid.width):
            raise RefusedError(
                f"{self.file.path}: entry {index} has the shape {stored.shape}, and the grid in {RESULTS} has "
                f"{image.grid.height} x {image.grid.width}; make the run again"
            )
        concepts = self.found.concepts_of(image)
        thresholds, peaks = (
            np.asarray([getattr(concept, name) for concept in concepts], np.float32) for name in ("threshold", "peak")
        )
        return StoredMaps(as_float(stored), thresholds, peaks)

    def masks(self, index: int) -> NDArray[np.bool_]:
        """Where each concept is in a picture: `(k, height, width)`, at the picture's own size.

        The very masks that `Discovery.masks` gave; raises as `maps`.
        """
        stored, size = self.maps(index), self.images[index].size
        return mask(upsample(stored.maps, size.height, size.width), stored.thresholds)

    def picture(self, index: int) -> Path | None:
        """The file of a picture; None where it is gone."""
        text = self.images[index].path
        for name in (text, _with_bytes(text)):
            if is_file(self.folder / name):
                return self.folder / name
        return None


@contextmanager
def read_run(home: str | Path) -> Iterator[StoredRun]:
    """Opens a run's folder. Nothing in it is trusted.

    Raises:
        UsageError: when it is no run's folder, or the run did not end.
        RefusedError: when a file of it is damaged, or made by a version that wrote none.
    """
    home = Path(home)
    if not home.is_dir():
        found = "is not a folder" if home.exists() else "there is no such folder"
        raise UsageError(f"{home}: {found}; give the output folder of `dff-onnx run`")
    if not is_run_folder(home):
        raise UsageError(f"{home}: holds no {RUN_FILE} of a run; give the output folder of `dff-onnx run`")
    if (home / "tree.json").is_file() and not (home / RESULTS).is_file():
        raise UsageError(f"{home}: is a tree of several runs; give one of them: k1, k2, ... in it")
    if not (home / RESULTS).is_file():
        raise UsageError(f"{home}: holds no {RESULTS}, so the run did not end; give the same `dff-onnx run` again")
    folder, min_share = _run_file(home / RUN_FILE)
    results = read_results(home / RESULTS)
    with open_maps(home / MAPS, len(results.found.images)) as file:
        yield StoredRun(home, folder, results, min_share, file)


def _run_file(path: Path) -> tuple[Path, float]:
    """Of `run.toml`: where the pictures are, and the least share of a region."""
    tables = _tables(path)
    folder, settings = tables.get("folder"), tables.get("settings")
    share = settings.get("min_share") if isinstance(settings, dict) else None
    if not isinstance(folder, str) or not folder or "\0" in folder:
        raise RefusedError(f"{path}: names no folder of pictures; make the run again")
    if not isinstance(share, int | float) or not 0 <= share <= 1:
        raise RefusedError(f"{path}: its min_share is {ascii(share)[:40]}, and 0 to 1 is needed; make the run again")
    return _root(folder), float(share)


def _root(text: str) -> Path:
    """The folder of pictures; a run of one picture has that picture in its place."""
    for path in (Path(text), Path(_with_bytes(text))):
        if is_file(path):
            return path.parent
        if is_folder(path):
            return path
    return Path(text)


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_RUN_FILE + 1)
        if len(data) > LARGEST_RUN_FILE:
            raise ValueError(f"it has more than {LARGEST_RUN_FILE} bytes")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: is damaged ({ascii(str(error))[:120]}); make the run again") from error


def _with_bytes(text: str) -> str:
    """The file name that `files.printable` wrote so: bytes that are no UTF-8 stand there as `\\xNN`."""
    raw = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(text))
    return os.fsdecode(raw)
