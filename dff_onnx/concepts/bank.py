"""A bank: concepts saved with all that is needed to use them again.

The file is NumPy's `.npz` without pickles: the arrays `W`, `thresholds`, `peaks`, `energy` (little-endian float32),
and `about`, a JSON text as bytes; `docs/results.md` describes it. Equal banks have equal bytes.
"""

from __future__ import annotations

import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import BankError, UsageError
from dff_onnx.records import Fingerprint, Preprocessing

FORMAT = "dff-onnx/bank/1"
FIGURES = ("thresholds", "peaks", "energy")
ENTRIES = ("W", *FIGURES, "about")
# A bank of 1000 concepts in 4096 channels has 16 MiB.
LARGEST = 256 * 2**20
# The only headers NumPy 1 and 2 write for the arrays above. Read here and not by NumPy, which takes memory for any
# shape a header claims, and evaluates the header's text as Python.
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<type><f4|\|u1)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>\d{1,9},|\d{1,9}, \d{1,9})\), \} *\n",
    re.DOTALL,
)
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


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

    def __post_init__(self) -> None:
        if self.W.ndim != 2 or 0 in self.W.shape:
            raise BankError(f"W has the shape {self.W.shape}, and (concepts, channels) is needed")
        self._check_concepts(len(self.W))
        for name in ("W", *FIGURES):
            _check_values(name, getattr(self, name))
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
            _add(archive, name, np.ascontiguousarray(getattr(bank, name), "<f4"))
        _add(archive, "about", np.frombuffer(_about(bank), np.uint8))
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
            _check_entries(archive)
            stored = {name: _array(name, archive.read(f"{name}.npy")) for name in ENTRIES}
        return _bank(stored, json.loads(stored["about"].tobytes(), parse_constant=_refuse_constant))
    except BankError as error:
        raise BankError(f"{path}: {error}; give the bank.npz of a run, or make it again") from error
    except DAMAGE as error:
        found = str(error)[:120] or type(error).__name__
        raise BankError(f"{path}: cannot be read as a bank ({found}); give the bank.npz of a run") from error


def _about(bank: Bank) -> bytes:
    fields = {
        "format": FORMAT,
        "names": list(bank.names),
        "colours": list(bank.colours),
        "fingerprint": bank.fingerprint.to_dict(),
        "provenance": dict(bank.provenance),
    }
    return json.dumps(fields, sort_keys=True, allow_nan=False).encode()


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    """One array, under a date and a system that are always the same."""
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    archive.writestr(entry, content.getvalue())


def _check_entries(archive: zipfile.ZipFile) -> None:
    """Before anything is inflated."""
    names = sorted(entry.filename for entry in archive.infolist())
    if names != sorted(f"{name}.npy" for name in ENTRIES):
        raise BankError(f"holds {', '.join(names[:8])[:120] or 'nothing'}, and a bank holds {', '.join(ENTRIES)}")
    size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise BankError(f"unpacks to {size} bytes, more than a bank can have ({LARGEST})")


def _array(name: str, content: bytes) -> NDArray[Any]:
    """An array from an entry's bytes."""
    header = HEADER.match(content)
    if header is None:
        raise BankError(f"{name} is no array of a bank: it begins with {content[:80]!r}")
    dtype = np.dtype(header["type"].decode())
    shape = tuple(int(part) for part in header["shape"].split(b",") if part)
    if dtype != (np.uint8 if name == "about" else np.float32) or len(shape) != (2 if name == "W" else 1):
        raise BankError(f"{name} has the type {dtype} and the shape {shape}, which a bank's has not")
    if len(content) - header.end() != prod(shape) * dtype.itemsize:
        raise BankError(f"{name} has the shape {shape} and {len(content) - header.end()} bytes, which do not agree")
    values: NDArray[Any] = np.frombuffer(content, dtype, offset=header.end()).reshape(shape)
    return values.astype(dtype.newbyteorder("="))  # a copy, aligned and writable


def _bank(stored: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> Bank:
    if about["format"] != FORMAT:
        raise BankError(f"has format {str(about['format'])[:60]!r}, and this version reads {FORMAT!r}")
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
        provenance=_provenance(about.get("provenance", {})),
    )


def _provenance(fields: Any) -> dict[str, str | int | float | bool]:
    if not isinstance(fields, dict) or not all(isinstance(value, str | int | float) for value in fields.values()):
        raise BankError("its provenance is not a table of plain values")
    return fields


def _check_values(name: str, array: NDArray[Any]) -> None:
    if array.dtype != np.float32:
        raise BankError(f"{name} has the type {array.dtype}, and float32 is needed")
    if not np.isfinite(array).all() or (array < 0).any():
        raise BankError(f"{name} holds values that are negative or not finite")


def _refuse_constant(text: str) -> float:
    raise BankError(f"its JSON holds {text}, which is no number")
