"""A bank: concepts saved with all that is needed to use them again.

The file is NumPy's `.npz` without pickles: the arrays `W`, `thresholds`, `peaks`, `energy` (little-endian float32),
and `about`, a JSON text as bytes; with a foreground model also `foreground`. `docs/results.md` describes it. Equal
banks have equal bytes.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.concepts.foreground import ForegroundModel
from dff_onnx.errors import BankError, UsageError
from dff_onnx.images import Resize
from dff_onnx.npy import DAMAGE, add_array, read_header, values_of
from dff_onnx.records import Fingerprint, Preprocessing

FORMAT = "dff-onnx/bank/3"
FIGURES = ("thresholds", "peaks", "energy")
ENTRIES = ("W", *FIGURES, "about")
QUARTILES = 5  # smallest, quartiles, largest
LARGEST_VALUE = 1e12
SIDES = {"W": 2, "foreground": 2}
# A bank of 1000 concepts in 4096 channels has 16 MiB.
LARGEST = 256 * 2**20


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
        if not all(isinstance(colour, str) and re.fullmatch("#[0-9a-f]{6}", colour) for colour in self.colours):
            raise BankError(f"the colours are {str(self.colours)[:60]}, and #rrggbb is needed")


def bank_bytes(bank: Bank) -> bytes:
    """The bank as a file's contents."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("W", *FIGURES):
            add_array(archive, name, np.ascontiguousarray(getattr(bank, name), "<f4"))
        if bank.foreground is not None:
            both = np.stack([bank.foreground.direction, bank.foreground.mean])
            add_array(archive, "foreground", np.ascontiguousarray(both, "<f4"))
        add_array(archive, "about", np.frombuffer(_about(bank), np.uint8))
    return data.getvalue()


def read_bank(path: str | Path) -> Bank:
    """Reads a bank back. No code in the file runs, and nothing is unpacked before its size is known.

    Raises:
        UsageError: when there is no such file.
        BankError: when it is no bank, is damaged, or larger than a bank can be.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give the bank.npz of a run")
    try:
        with zipfile.ZipFile(path) as archive:
            names = _check_entries(archive)
            stored = {name: _array(name, archive.read(f"{name}.npy")) for name in names}
        return _bank(stored, json.loads(stored["about"].tobytes(), parse_constant=_refuse_constant))
    except BankError as error:
        raise BankError(f"{path}: {error}; give the bank.npz of a run, or make it again") from error
    except DAMAGE as error:
        found = str(error)[:120] or type(error).__name__
        raise BankError(f"{path}: cannot be read as a bank ({found}); give the bank.npz of a run") from error


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
    if bank.fingerprint != fingerprint:
        raise BankError(
            f"{path}: its concepts come from {bank.fingerprint.described}; {other} has {fingerprint.described}; "
            "concepts of one cannot be used on the other: take the network, layer and preprocessing of the bank"
        )


def _about(bank: Bank) -> bytes:
    fields: dict[str, Any] = {
        "format": FORMAT,
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
    return json.dumps(fields, sort_keys=True, allow_nan=False).encode()


def _check_entries(archive: zipfile.ZipFile) -> tuple[str, ...]:
    """Before anything is inflated; the names of the arrays."""
    names = sorted(entry.filename for entry in archive.infolist())
    entries = (*ENTRIES, "foreground") if "foreground.npy" in names else ENTRIES
    if names != sorted(f"{name}.npy" for name in entries):
        raise BankError(f"holds {', '.join(names[:8])[:120] or 'nothing'}, and a bank holds {', '.join(ENTRIES)}")
    size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise BankError(f"unpacks to {size} bytes, more than a bank can have ({LARGEST})")
    return entries


def _array(name: str, content: bytes) -> NDArray[Any]:
    """An array from an entry's bytes."""
    header = read_header(content)
    if header is None:
        raise BankError(f"{name} is no array of a bank: it begins with {content[:80]!r}")
    dtype, shape = header.dtype, header.shape
    if dtype != (np.uint8 if name == "about" else np.float32) or len(shape) != SIDES.get(name, 1):
        raise BankError(f"{name} has the type {dtype} and the shape {shape}, which a bank's has not")
    if len(content) != header.size:
        raise BankError(f"{name} has the shape {shape} and {len(content) - header.end} bytes, which do not agree")
    return values_of(content, header)


def _bank(stored: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> Bank:
    if about["format"] != FORMAT:
        raise BankError(f"has format {str(about['format'])[:60]!r}, and this version reads {FORMAT!r}")
    if ("foreground" in stored) != ("foreground" in about):
        raise BankError("its format allows a foreground's vectors and its figures together only")
    mark, names, colours = about["fingerprint"], about["names"], about["colours"]
    if not (isinstance(mark["model_sha256"], str) and isinstance(mark["layer"], str)):
        raise BankError("its fingerprint names no model and layer")
    if not (isinstance(names, list) and isinstance(colours, list)):
        raise BankError("its names and colours are no lists")
    return Bank(
        **{name: stored[name] for name in ("W", *FIGURES)},
        names=tuple(names),
        colours=tuple(colours),
        fingerprint=Fingerprint(mark["model_sha256"], mark["layer"], Preprocessing.from_dict(mark["preprocessing"])),
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


def _refuse_constant(text: str) -> float:
    raise BankError(f"its JSON holds {text}, which is no number")
