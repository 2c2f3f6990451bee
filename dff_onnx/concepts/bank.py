"""A bank: concepts saved with all that is needed to use them again.

The file is NumPy's `.npz` without pickles: the arrays `W`, `thresholds`, `peaks`, `energy`, and `about`, a JSON text
as bytes. Equal banks have equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import BankError, UsageError
from dff_onnx.records import Fingerprint, Preprocessing

FORMAT = "dff-onnx/bank/1"
ARRAYS = ("W", "thresholds", "peaks", "energy")
# A bank of 1000 concepts in 4096 channels has 16 MiB.
LARGEST = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Bank:
    """Concepts and what belongs to them.

    Attributes:
        W: `(k, c)` float32, rows of unit length.
        thresholds, peaks, energy: `(k,)` float32: of the heat maps over the set they were found in; energy as a share.
        names: of the concepts, None where there is none.
        colours: `#rrggbb`.
        fingerprint: of the backbone.
    """

    W: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    peaks: NDArray[np.float32]
    energy: NDArray[np.float32]
    names: tuple[str | None, ...]
    colours: tuple[str, ...]
    fingerprint: Fingerprint


def bank_bytes(bank: Bank) -> bytes:
    """The bank as a file's contents."""
    about = {
        "format": FORMAT,
        "names": list(bank.names),
        "colours": list(bank.colours),
        "fingerprint": bank.fingerprint.to_dict(),
    }
    arrays: dict[str, Any] = {name: np.ascontiguousarray(getattr(bank, name), np.float32) for name in ARRAYS}
    data = io.BytesIO()
    np.savez(data, **arrays, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
    return data.getvalue()


def read_bank(path: str | Path) -> Bank:
    """Reads a bank back.

    Raises:
        UsageError: when there is no such file.
        BankError: when it is no bank, is damaged, or larger than a bank can be.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give the bank.npz of a run")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in ARRAYS}
            about = json.loads(np.asarray(stored["about"], np.uint8).tobytes())
        return _checked(path, arrays, about)
    except BankError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BankError(f"{path}: cannot be read as a bank ({str(error)[:120]}); give the bank.npz of a run") from error


def _check_sizes(path: Path) -> None:
    """Before anything is inflated."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST:
        raise BankError(f"{path}: unpacks to {size} bytes, more than a bank can have ({LARGEST})")


def _checked(path: Path, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Bank:
    if about["format"] != FORMAT:
        raise BankError(f"{path}: has format {about['format']!r}, this version reads {FORMAT!r}")
    W = arrays["W"]
    shapes = [arrays[name].shape for name in ARRAYS[1:]]
    names, colours = tuple(about["names"]), tuple(about["colours"])
    if W.ndim != 2 or 0 in W.shape or shapes != [W.shape[:1]] * 3 or len(names) != len(W) or len(colours) != len(W):
        raise BankError(f"{path}: its arrays do not belong together (W has the shape {W.shape}); make it again")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all() or (array < 0).any():
            raise BankError(f"{path}: {name} holds values that cannot be; make it again")
    mark = about["fingerprint"]
    fingerprint = Fingerprint(mark["model_sha256"], mark["layer"], Preprocessing.from_dict(mark["preprocessing"]))
    return Bank(W, arrays["thresholds"], arrays["peaks"], arrays["energy"], names, colours, fingerprint)
