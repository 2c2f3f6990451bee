"""A whitening of descriptors in a `.npz`: what it is, and of which descriptors. Equal whitenings have equal bytes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dff_onnx.errors import RefusedError
from dff_onnx.npz_file import (
    NpzForm,
    fingerprint_of,
    npz_bytes,
    read_about,
    read_npz,
    refusing,
    refusing_content,
    texts_of,
)
from dff_onnx.records import Fingerprint
from dff_onnx.retrieval import Whitening

FORM = NpzForm(
    what="a whitening",
    maker="dff-onnx whiten",
    format="dff-onnx/whitening/1",
    sides={"mean": 1, "projection": 2},
    largest=2**30,  # 16 000 dimensions
)


@dataclass(frozen=True, slots=True, eq=False)
class WhiteningFile:
    """A whitening, and what it was learnt on.

    Attributes:
        whitening: in float32.
        fingerprint: of the network.
        descriptor: its kind.
        settings: of the descriptor, as plain values of JSON.
        folder: that the pictures were in, as text.
        pictures, vectors: how many.
        dimensions: that were asked for; None for all that vary.
        shrinkage: see `learn_whitening`; files of earlier versions have none.

    Raises:
        RefusedError: when these do not belong together, or hold values that cannot be.
    """

    whitening: Whitening
    fingerprint: Fingerprint
    descriptor: str
    settings: Mapping[str, Any]
    folder: str
    pictures: int
    vectors: int
    dimensions: int | None = None
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        mean, projection = self.whitening.mean, self.whitening.projection
        if projection.ndim != 2 or mean.shape != projection.shape[1:] or 0 in projection.shape:
            raise RefusedError(f"its mean has the shape {mean.shape} and its projection {projection.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(projection).all()):
            raise RefusedError("it holds values that are not finite")
        if not isinstance(self.settings, dict) or any(
            type(n) is not int or n < 1 for n in (self.pictures, self.vectors)
        ):
            raise RefusedError("what it says of its descriptors is damaged")
        if self.dimensions is not None and self.dimensions != self.whitening.dimensions:
            raise RefusedError(
                f"{ascii(self.dimensions)[:40]} dimensions were asked for, and it has {self.whitening.dimensions}"
            )

        if type(self.shrinkage) not in (int, float) or not 0 <= self.shrinkage <= 1:
            raise RefusedError(f"its shrinkage is {ascii(self.shrinkage)[:40]}, and 0 to 1 is needed")

    def wanted(self) -> dict[str, Any]:
        """What two files must share for one to be the other made again."""
        return {
            "fingerprint": self.fingerprint.to_dict(),
            "descriptor": self.descriptor,
            "settings": json.loads(json.dumps(self.settings)),
            "folder": self.folder,
            "dimensions": self.dimensions,
            "shrinkage": self.shrinkage,
        }


def whitening_bytes(file: WhiteningFile) -> bytes:
    """As it is written."""
    arrays = {"mean": file.whitening.mean, "projection": file.whitening.projection}
    about = {**file.wanted(), "pictures": file.pictures, "vectors": file.vectors}
    if not file.shrinkage:
        del about["shrinkage"]  # as files were before there was any: an index knows them by their bytes
    return npz_bytes(FORM, arrays, about)


def whitening_sha256(file: WhiteningFile) -> str:
    """Of the file."""
    return hashlib.sha256(whitening_bytes(file)).hexdigest()


def read_whitening(path: str | Path) -> WhiteningFile:
    """Reads a whitening back. No code in the file runs, and nothing is unpacked before its size is known.

    Raises:
        UsageError: when there is no such file.
        RefusedError: when it holds no whitening, is damaged, or larger than it can be.
    """
    path = Path(path)
    with refusing(path, FORM):
        return _read(path)


def whitening_of(data: bytes, name: str) -> WhiteningFile:
    """The same from bytes that something else holds.

    Args:
        data: of the file.
        name: of what holds them, for messages.

    Raises:
        RefusedError: as `read_whitening`.
    """
    with refusing_content(name, FORM):
        return _read(io.BytesIO(data))


def _read(file: Path | BinaryIO) -> WhiteningFile:
    arrays, about = read_npz(file, FORM)
    return WhiteningFile(
        whitening=Whitening(arrays["mean"], arrays["projection"]),
        fingerprint=fingerprint_of(about["fingerprint"]),
        descriptor=texts_of([about["descriptor"]], "descriptors")[0],
        settings=about["settings"],
        folder=texts_of([about["folder"]], "folders")[0],
        pictures=about["pictures"],
        vectors=about["vectors"],
        dimensions=about["dimensions"],
        shrinkage=about.get("shrinkage", 0.0),
    )


def read_wanted(path: Path) -> dict[str, Any]:
    """What `WhiteningFile.wanted` gave, as the file says it; nothing of it is judged but that it is a whitening.

    Raises:
        UsageError, RefusedError: as `read_whitening`.
    """
    with refusing(path, FORM):
        about = read_about(path, FORM)
        said = {key: about[key] for key in ("fingerprint", "descriptor", "settings", "folder", "dimensions")}
        return {**said, "shrinkage": about.get("shrinkage", 0.0)}
