"""Pooled activations of pictures in a `.npz`: what classifiers are trained on. `docs/deep-features.md` describes it.

The array `features`, and `about`, a JSON text as bytes. Equal features have equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import RefusedError
from dff_onnx.images import Resize
from dff_onnx.linear_head import Pool
from dff_onnx.npz_file import (
    NpzForm,
    fingerprint_of,
    read_about,
    read_npz,
    refusing,
    texts_of,
    write_npz,
)
from dff_onnx.records import Fingerprint

FORM = NpzForm(
    what="a file of features",
    maker="dff-onnx features",
    format="dff-onnx/features/1",
    sides={"features": 2},
    largest=4 * 2**30,  # a million pictures in 1024 channels
)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Pooled activations, a row a picture.

    Attributes:
        values: `(n, c)` float32, finite.
        paths: of the pictures, relative to the folder, with slashes, as `files.printable` writes them.
        fingerprint: of the network.
        pool: of the places.
        resize: of the pictures, before the network.
        folder: that the pictures were in, as text.

    Raises:
        RefusedError: when these do not belong together, or hold values that cannot be.
    """

    values: NDArray[np.float32]
    paths: tuple[str, ...]
    fingerprint: Fingerprint
    pool: Pool
    resize: Resize
    folder: str

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or 0 in self.values.shape or self.values.dtype != np.float32:
            raise RefusedError(f"features are {self.values.dtype} {self.values.shape}, and float32 (n, c) is needed")
        if len(self.paths) != len(self.values):
            raise RefusedError(f"there are features of {len(self.values)} pictures and {len(self.paths)} paths")
        if self.pool not in get_args(Pool):
            raise RefusedError(f"its pool is {ascii(self.pool)[:40]}, and one of {', '.join(get_args(Pool))} is needed")
        if not np.isfinite(self.values).all():
            raise RefusedError("features hold values that are not finite")

    def settings(self) -> dict[str, Any]:
        """What two files must share for one to be the other made again."""
        return {
            "folder": self.folder,
            "fingerprint": self.fingerprint.to_dict(),
            "pool": self.pool,
            "resize": self.resize.to_dict(),
        }


def write_features(path: Path, features: Features) -> None:
    """Writes features.

    Raises:
        OutputError: when the file cannot be written.
    """
    write_npz(path, FORM, {"features": features.values}, {"paths": list(features.paths), **features.settings()})


def read_features(path: str | Path) -> Features:
    """Reads features back. No code in the file runs, and nothing is unpacked before its size is known.

    Raises:
        UsageError: when there is no such file.
        RefusedError: when it holds no features, is damaged, or larger than it can be.
    """
    path = Path(path)
    with refusing(path, FORM):
        arrays, about = read_npz(path, FORM)
        return Features(
            values=arrays["features"],
            paths=_paths(about["paths"]),
            fingerprint=fingerprint_of(about["fingerprint"]),
            pool=about["pool"],
            resize=Resize.from_dict(about["resize"]),
            folder=_folder(about["folder"]),
        )


def read_settings(path: Path) -> dict[str, Any]:
    """What `Features.settings` gave, as the file says it; nothing of it is judged but that it is a file of features.

    Raises:
        UsageError, RefusedError: as `read_features`.
    """
    with refusing(path, FORM):
        about = read_about(path, FORM)
        return {key: about[key] for key in ("folder", "fingerprint", "pool", "resize")}


def _paths(values: Any) -> tuple[str, ...]:
    paths = texts_of(values, "paths")
    for text in paths:
        path = PurePosixPath(text)
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in text:
            raise RefusedError(f"names the picture {ascii(text)[:80]}, which is none below a folder")
    return paths


def _folder(value: Any) -> str:
    return texts_of([value], "folders")[0]
