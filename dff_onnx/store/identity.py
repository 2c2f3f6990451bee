"""What the vectors of an index are: two identities never mix."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from dff_onnx.differences import told_differences
from dff_onnx.errors import RefusedError, StoreError, UsageError
from dff_onnx.npz_file import SHA256, fingerprint_of
from dff_onnx.records import Fingerprint

VectorDtype = Literal["float16", "float32"]
FORMAT = "dff-onnx/index/1"
MOST_DIMENSIONS = 16_000  # what pgvector stores


@dataclass(frozen=True, slots=True)
class Identity:
    """How the vectors of an index were made.

    Attributes:
        fingerprint: of the backbone.
        descriptor: its kind, as `dff` or `rmac`.
        dimensions: of every vector, 1 to 16 000.
        settings: of the descriptor, as plain values of JSON.
        dtype: that vectors are stored in.
        whitening: sha256 of what whitened them, None where nothing did.

    Raises:
        UsageError: when these cannot be.

    >>> from dff_onnx.records import Preprocessing
    >>> network = Fingerprint("ab" * 32, "relu5_4", Preprocessing())
    >>> Identity(network, "rmac", 512, {"levels": (1, 2, 3)}).settings
    {'levels': [1, 2, 3]}
    """

    fingerprint: Fingerprint
    descriptor: str
    dimensions: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    dtype: VectorDtype = "float16"
    whitening: str | None = None

    def __post_init__(self) -> None:
        if not self.descriptor or not 1 <= self.dimensions <= MOST_DIMENSIONS:
            raise UsageError(
                f"descriptor {self.descriptor!r} of {self.dimensions} dimensions: 1 to {MOST_DIMENSIONS} can be "
                "stored; take another layer, a smaller size, or a whitening that keeps fewer"
            )
        if self.dtype not in get_args(VectorDtype):
            raise UsageError(f"vectors are stored as {' or '.join(get_args(VectorDtype))}, not as {self.dtype!r}")
        if self.whitening is not None and not SHA256.fullmatch(self.whitening):
            raise UsageError(f"the whitening has the sha256 {ascii(self.whitening)[:80]}, which is none")
        try:
            plain = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise UsageError(f"the descriptor's settings are no plain values: {error}") from error
        object.__setattr__(self, "settings", plain)

    @property
    def row_bytes(self) -> int:
        """Of one vector."""
        return self.dimensions * np.dtype(self.dtype).itemsize

    def to_json(self) -> str:
        """As an index stores it; equal identities have equal texts."""
        fields = {
            "format": FORMAT,
            "fingerprint": self.fingerprint.to_dict(),
            "descriptor": self.descriptor,
            "dimensions": self.dimensions,
            "settings": self.settings,
            "dtype": self.dtype,
            "whitening": self.whitening,
        }
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """The inverse of `to_json`.

        Raises:
            StoreError: for a text that is none.
        """
        try:
            return _identity(json.loads(text))
        except (RefusedError, UsageError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"its identity cannot be read ({ascii(str(error))[:160]})") from error


def check_same(found: Identity, wanted: Identity, where: str) -> None:
    """Refuses an index whose vectors were made otherwise.

    Raises:
        StoreError: naming what differs.
    """
    there, now = json.loads(found.to_json()), json.loads(wanted.to_json())
    if there != now:
        raise StoreError(
            f"{where}: holds vectors of other settings ({told_differences(there, now)}); they "
            "cannot be compared: use the settings of the index, or make another index"
        )


def _identity(fields: dict[str, Any]) -> Identity:
    if fields["format"] != FORMAT:
        raise StoreError(f"has the format {ascii(fields['format'])[:60]}, and this version reads {FORMAT!r}")
    if type(fields["dimensions"]) is not int or not isinstance(fields["descriptor"], str):
        raise StoreError("its descriptor or its dimensions are of the wrong type")
    return Identity(
        fingerprint_of(fields["fingerprint"]),
        fields["descriptor"],
        fields["dimensions"],
        fields["settings"],
        fields["dtype"],
        fields["whitening"],
    )
