"""A bank: concepts saved with all that is needed to use them again.

The file is NumPy's `.npz` without pickles: the arrays `W`, `thresholds`, `peaks`, `energy` (little-endian float32),
and `about`, a JSON text as bytes; with a foreground model also `foreground`. `docs/results.md` describes it. Equal
banks have equal bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.errors import BankError, RefusedError
from dff_onnx.images import Resize
from dff_onnx.npz_file import NpzForm, fingerprint_of, npz_bytes, read_npz, refusing
from dff_onnx.plain_text import is_plain
from dff_onnx.records import Fingerprint

FIGURES = ("thresholds", "peaks", "energy")
FORM = NpzForm(
    what="a bank",
    maker="dff-onnx run",
    format="dff-onnx/bank/3",
    sides={"W": 2, **dict.fromkeys(FIGURES, 1)},
    largest=256 * 2**20,  # 1000 concepts in 4096 channels have 16 MiB
    optional={"foreground": 2},
    largest_about=16 * 2**20,
    error=BankError,
)
QUARTILES = 5  # smallest, quartiles, largest
LARGEST_VALUE = 1e12
MOST_CONCEPTS = 4096  # matching takes their square in memory
LONGEST_NAME = 1024  # characters: sixteen names of sixty, joined
# A picture is explained when the bank explains so much of what it explains of three quarters of its own pictures.
EXPLAINED = 2 / 3


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Concepts and what belongs to them.

    Attributes:
        W: `(k, c)` float32, rows of unit length (or zero), `>= 0`.
        thresholds, peaks, energy: `(k,)` float32: of the heat maps over the set they were found in; energy as a share.
        names: of the concepts, None where there is none.
        colours: `#rrggbb`.
        fingerprint: of the backbone.
        provenance: where the concepts come from, as plain values of JSON; nothing depends on it.
        resize: at which the network saw the pictures, None where that is not known.
        losses: of the pictures that the concepts come from: smallest, quartiles, largest; empty where not known.
        foreground: what tells the set's object from its surroundings; a bank with it may have no concepts.

    Raises:
        BankError: when these do not belong together, or hold values that cannot be.
    """

    W: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    peaks: NDArray[np.float32]
    energy: NDArray[np.float32]
    names: tuple[str | None, ...]
    colours: tuple[str, ...]
    fingerprint: Fingerprint
    provenance: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    foreground: ForegroundModel | None = None
    resize: Resize | None = None
    losses: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.W.ndim != 2 or self.W.shape[1] == 0 or (len(self.W) == 0 and self.foreground is None):
            raise BankError(f"W has the shape {self.W.shape}, and (concepts, channels) is needed")
        if len(self.W) > MOST_CONCEPTS:
            raise BankError(f"W has {len(self.W)} concepts, and a bank has at most {MOST_CONCEPTS}")
        self._check_concepts(len(self.W))
        for name in ("W", *FIGURES):
            _check_values(name, getattr(self, name))
        _check_losses(self.losses)
        if self.foreground is not None:
            _check_foreground(self.foreground, self.W.shape[1])
        lengths = np.linalg.norm(self.W.astype(np.float64), axis=1)  # float32 overflows on what is refused here
        if not np.all((np.abs(lengths - 1) < 1e-3) | (lengths == 0)):
            raise BankError(f"the concepts in W have the lengths {lengths.round(4).tolist()[:8]}, and 1 is needed")

    def _check_concepts(self, k: int) -> None:
        for name in FIGURES:
            if getattr(self, name).shape != (k,):
                raise BankError(f"{name} has the shape {getattr(self, name).shape} for {k} concepts")
        if len(self.names) != k or len(self.colours) != k:
            raise BankError(f"{k} concepts have {len(self.names)} names and {len(self.colours)} colours")
        if not all(name is None or isinstance(name, str) for name in self.names):
            raise BankError("a concept's name is neither text nor null")
        if odd := [name for name in self.names if name is not None and not _is_name(name)]:
            raise BankError(f"a concept's name is empty, too long or holds a control character: {ascii(odd[0])[:60]}")
        if not all(isinstance(colour, str) and re.fullmatch("#[0-9a-f]{6}", colour) for colour in self.colours):
            raise BankError(f"the colours are {str(self.colours)[:60]}, and #rrggbb is needed")


def bank_bytes(bank: Bank) -> bytes:
    """The bank as a file's contents."""
    arrays = {name: getattr(bank, name) for name in ("W", *FIGURES)}
    if bank.foreground is not None:
        arrays["foreground"] = np.stack([bank.foreground.direction, bank.foreground.mean])
    return npz_bytes(FORM, arrays, _about(bank))


def bank_sha256(bank: Bank) -> str:
    """Of the bank's file: what tells it from other banks."""
    return hashlib.sha256(bank_bytes(bank)).hexdigest()


def read_bank(path: str | Path) -> Bank:
    """Reads a bank back. No code in the file runs, and nothing is unpacked before its size is known.

    Raises:
        UsageError: when there is no such file.
        BankError: when it is no bank, is damaged, or larger than a bank can be.
    """
    path = Path(path)
    with refusing(path, FORM):
        return _bank(*read_npz(path, FORM))


def check_belongs(bank: Bank, fingerprint: Fingerprint, path: str | Path, other: str) -> None:
    """Refuses a bank of another network, layer or preprocessing.

    Args:
        bank: as read.
        fingerprint: of the activations it shall meet.
        path: of the bank, for the sentence.
        other: what has that fingerprint, for the sentence.

    Raises:
        BankError: naming both fingerprints.
    """
    check_fingerprint(bank.fingerprint, fingerprint, path, other)


@dataclass(frozen=True, slots=True)
class Holder:
    """What has a fingerprint, for sentences: its name, what it holds, and the error of another fingerprint."""

    name: str = "bank"
    things: str = "concepts"
    error: type[RefusedError] = BankError


BANK = Holder()


def check_fingerprint(
    wanted: Fingerprint, found: Fingerprint, path: str | Path, other: str, holder: Holder = BANK
) -> None:
    """As `check_belongs`, for whatever holds something of a fingerprint."""
    if wanted != found:
        raise holder.error(
            f"{path}: its {holder.things} come from {wanted.described}; {other} has {found.described}; "
            f"{holder.things} of one cannot be used on the other: take the network, layer and preprocessing of the "
            f"{holder.name}"
        )


def limit_of(bank: Bank) -> float | None:
    """A picture with more loss is not explained by the bank; None where the bank knows no losses.

    The measure is what the bank explains of its own pictures, at the upper quartile of their losses: there, a stray
    picture among them counts for nothing. `docs/apply.md` has the figures.
    """
    return 1 - EXPLAINED * (1 - min(bank.losses[3], 1.0)) if bank.losses else None


def _about(bank: Bank) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "names": list(bank.names),
        "colours": list(bank.colours),
        "fingerprint": bank.fingerprint.to_dict(),
        "provenance": dict(bank.provenance),
        "resize": bank.resize.to_dict() if bank.resize else None,
        "losses": list(bank.losses),
    }
    if bank.foreground is not None:
        model = bank.foreground
        fields["foreground"] = {name: float(getattr(model, name)) for name in ("threshold", "upper", "spread")}
        fields["foreground"] |= {"resize": model.resize.mode, "size": model.resize.pixels}
    return fields


def _bank(stored: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> Bank:
    if ("foreground" in stored) != ("foreground" in about):
        raise BankError("its format allows a foreground's vectors and its figures together only")
    names, colours = about["names"], about["colours"]
    if not (isinstance(names, list) and isinstance(colours, list)):
        raise BankError("its names and colours are no lists")
    return Bank(
        **{name: stored[name] for name in ("W", *FIGURES)},
        names=tuple(names),
        colours=tuple(colours),
        fingerprint=fingerprint_of(about["fingerprint"]),
        provenance=_provenance(about["provenance"]),
        resize=None if about["resize"] is None else Resize.from_dict(about["resize"]),
        losses=_losses(about["losses"]),
        foreground=_foreground(stored["foreground"], about["foreground"]) if "foreground" in stored else None,
    )


def _foreground(vectors: NDArray[np.float32], fields: dict[str, Any]) -> ForegroundModel:
    if len(vectors) != 2:
        raise BankError(f"foreground has {len(vectors)} rows, and a direction and a mean are needed")
    figures = {name: fields[name] for name in ("threshold", "upper", "spread")}
    if not all(type(value) is float for value in figures.values()) or type(fields["size"]) is not int:
        raise BankError(f"its foreground has the figures {str(figures)[:80]} and the size {str(fields['size'])[:20]}")
    return ForegroundModel(vectors[0], vectors[1], **figures, resize=Resize(fields["resize"], fields["size"]))


def _check_foreground(model: ForegroundModel, channels: int) -> None:
    for name in ("direction", "mean"):
        array = getattr(model, name)
        if array.shape != (channels,) or array.dtype != np.float32 or not (np.abs(array) < LARGEST_VALUE).all():
            raise BankError(f"the foreground's {name} is no row of {channels} float32 values below {LARGEST_VALUE:g}")
    if not (math.isfinite(model.threshold) and 0 <= model.upper <= 1 and 1e-6 < model.spread < 1e6):
        raise BankError(
            f"the foreground has the threshold {model.threshold}, upper {model.upper}, spread {model.spread}"
        )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and is_plain(text)


def _provenance(fields: Any) -> dict[str, str | int | float | bool]:
    if not isinstance(fields, dict) or not all(isinstance(value, str | int | float) for value in fields.values()):
        raise BankError("its provenance is not a table of plain values")
    return fields


def _losses(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not all(type(value) is float for value in values):
        raise BankError("its losses are no list of figures")
    return tuple(values)


def _check_losses(losses: tuple[float, ...]) -> None:
    rising = all(0 <= low <= high < math.inf for low, high in itertools.pairwise((0.0, *losses)))
    if len(losses) not in (0, QUARTILES) or not rising:
        raise BankError(f"its losses are {str(losses)[:80]}, and {QUARTILES} figures are needed, rising from 0 on")


def _check_values(name: str, array: NDArray[Any]) -> None:
    if array.dtype != np.float32:
        raise BankError(f"{name} has the type {array.dtype}, and float32 is needed")
    if not np.isfinite(array).all() or (array < 0).any():
        raise BankError(f"{name} holds values that are negative or not finite")
