"""A trained head in a `.npz`, with all that is needed to use it. `docs/deep-features.md` describes it.

The arrays `weights` and `bias`, and `about`, a JSON text as bytes. Equal heads have equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dff_onnx.errors import RefusedError
from dff_onnx.images import Resize
from dff_onnx.linear_head import LinearHead, Pool
from dff_onnx.npz_file import NpzForm, fingerprint_of, npz_bytes, read_npz, refusing, texts_of
from dff_onnx.records import Fingerprint

FORM = NpzForm(
    what="a head",
    maker="dff-onnx fit",
    format="dff-onnx/head/1",
    sides={"weights": 2, "bias": 1},
    largest=256 * 2**20,  # 16 000 classes in 4096 channels
)
LARGEST_VALUE = 1e12  # so that no score leaves float32
MOST_PICTURES = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head and where it comes from.

    Attributes:
        head: weights, bias, pooling, whether features are brought to unit length.
        names: of the classes, no two alike, each on its line.
        fingerprint: of the network that its features come from; it fits no other.
        resize: of the pictures it was trained on.
        pictures: it was trained on, of each class.
        others: pictures of no class that it was trained on.
        provenance: more of that, as plain values of JSON; nothing depends on it.

    Raises:
        RefusedError: when these do not belong together, or hold values that cannot be.
    """

    head: LinearHead
    names: tuple[str, ...]
    fingerprint: Fingerprint
    resize: Resize
    pictures: tuple[int, ...]
    others: int = 0
    provenance: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        classes = self.head.classes
        if classes == 0 or self.head.channels == 0:
            raise RefusedError(f"its weights have the shape {tuple(self.head.weights.shape)}")
        if len(self.names) != classes or len(set(self.names)) != classes or len(self.pictures) != classes:
            raise RefusedError(f"{classes} classes have {len(set(self.names))} names and {len(self.pictures)} counts")
        if odd := [name for name in self.names if not name.isprintable()]:
            raise RefusedError(f"a class's name holds a control character: {ascii(odd[0])[:60]}")
        if not all(_is_count(count) for count in (*self.pictures, self.others)):
            raise RefusedError("its pictures are no counts")
        for array in (self.head.weights, self.head.bias):
            if array.dtype != np.float32 or not (np.abs(array) < LARGEST_VALUE).all():
                raise RefusedError(f"its weights are not all float32 values below {LARGEST_VALUE:g}")

    def settings(self) -> dict[str, Any]:
        """What two heads must share for one to be the other made again."""
        return {
            "names": list(self.names),
            "pool": self.head.pool,
            "unit": self.head.unit,
            "C": self.provenance.get("C_asked"),
            "folder": self.provenance.get("folder"),
            "fingerprint": self.fingerprint.to_dict(),
            "resize": self.resize.to_dict(),
        }


def head_bytes(fitted: FittedHead) -> bytes:
    """The head as a file's contents."""
    about = {
        "names": list(fitted.names),
        "pool": fitted.head.pool,
        "unit": fitted.head.unit,
        "fingerprint": fitted.fingerprint.to_dict(),
        "resize": fitted.resize.to_dict(),
        "pictures": list(fitted.pictures),
        "others": fitted.others,
        "provenance": dict(fitted.provenance),
    }
    return npz_bytes(FORM, {"weights": fitted.head.weights, "bias": fitted.head.bias}, about)


def read_head(path: str | Path) -> FittedHead:
    """Reads a head back. No code in the file runs, and nothing is unpacked before its size is known.

    Raises:
        UsageError: when there is no such file.
        RefusedError: when it is no head, is damaged, or larger than a head can be.
    """
    path = Path(path)
    with refusing(path, FORM):
        arrays, about = read_npz(path, FORM)
        if about["pool"] not in get_args(Pool) or not isinstance(about["unit"], bool):
            raise RefusedError(f"its pool and unit are {ascii((about['pool'], about['unit']))[:60]}")
        if not isinstance(about["pictures"], list):
            raise RefusedError("its pictures are no list")
        return FittedHead(
            head=LinearHead(arrays["weights"], arrays["bias"], pool=about["pool"], unit=about["unit"]),
            names=texts_of(about["names"], "names"),
            fingerprint=fingerprint_of(about["fingerprint"]),
            resize=Resize.from_dict(about["resize"]),
            pictures=tuple(about["pictures"]),
            others=about["others"],
            provenance=_provenance(about.get("provenance", {})),
        )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_PICTURES


def _provenance(fields: Any) -> dict[str, str | int | float | bool]:
    if not isinstance(fields, dict) or not all(isinstance(value, str | int | float) for value in fields.values()):
        raise RefusedError("its provenance is not a table of plain values")
    return fields
