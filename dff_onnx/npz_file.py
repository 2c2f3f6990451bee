"""A few float32 arrays and a JSON text in one `.npz`: equal contents give equal bytes, and nothing read is trusted.

Headers are judged before anything is unpacked, and no more is unpacked than they say. There are no pickles.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import RefusedError, UsageError
from dff_onnx.files import open_atomically
from dff_onnx.npy import DAMAGE, LONGEST_HEADER, add_array, read_header, values_of
from dff_onnx.records import Fingerprint, Preprocessing

ABOUT = "about"
LARGEST_ABOUT = 256 * 2**20  # bytes of JSON: the paths of a million pictures
SHA256 = re.compile("[0-9a-f]{64}")
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class NpzForm:
    """What a file of one kind holds.

    Attributes:
        what: the kind, for messages: `a file of features`.
        maker: the command that writes it.
        format: the text under `format` in its JSON.
        sides: of each array: 1 or 2.
        largest: bytes that all entries together may unpack to.
        optional: sides of arrays that a file may have beside these.
        largest_about: bytes that the JSON alone may unpack to.
        error: that a file of another kind is refused with.
    """

    what: str
    maker: str
    format: str
    sides: Mapping[str, int]
    largest: int
    optional: Mapping[str, int] = field(default_factory=dict)
    largest_about: int = LARGEST_ABOUT
    error: type[RefusedError] = RefusedError


def npz_bytes(form: NpzForm, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> bytes:
    """A file's contents.

    Args:
        form: of the file.
        arrays: those that the form names, and any of its optional ones.
        about: plain values of JSON; `format` is added.
    """
    data = io.BytesIO()
    _fill(data, form, arrays, about)
    return data.getvalue()


def write_npz(path: Path, form: NpzForm, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Writes a file as `npz_bytes` has it, without a second copy in memory.

    Raises:
        OutputError: when it cannot be written.
    """
    with open_atomically(path) as file:
        _fill(file, form, arrays, about)


def read_npz(file: Path | BinaryIO, form: NpzForm) -> tuple[Arrays, dict[str, Any]]:
    """The arrays of a file, and its JSON, of which only `format` was judged. Use it inside `refusing`."""
    with zipfile.ZipFile(file) as archive:
        entries = _entries(archive, form)
        sides = {**form.sides, **form.optional}
        names = [name for name in sides if name in entries]
        arrays = {name: _array(archive, entries[name], name, np.float32, sides[name]) for name in names}
        return arrays, _about(archive, entries[ABOUT], form)


def read_about(path: Path, form: NpzForm) -> dict[str, Any]:
    """The JSON of a file alone; its arrays stay on disk. Use it inside `refusing`."""
    with zipfile.ZipFile(path) as archive:
        return _about(archive, _entries(archive, form)[ABOUT], form)


@contextmanager
def refusing(path: Path, form: NpzForm) -> Iterator[None]:
    """What goes wrong while a file is read and judged becomes an error that names it.

    Raises:
        UsageError: when there is no such file.
        RefusedError: or the form's own kind of it, when the file is none of its kind, is damaged, or larger than one
            can be.
    """
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(f"{path}: {found}; give {form.what} that `{form.maker}` wrote")
    # What the maker finds in its place, and cannot read, it does not write over.
    with refusing_content(str(path), form, "remove it and make it again"):
        yield


@contextmanager
def refusing_content(name: str, form: NpzForm, otherwise: str = "make it again") -> Iterator[None]:
    """The same for contents that lie elsewhere than in a file of their own.

    Args:
        name: of what holds them.
        form: of the contents.
        otherwise: what to do where there is no other file.

    Raises:
        RefusedError: as `refusing`.
    """
    try:
        yield
    except RefusedError as error:
        raise form.error(f"{name}: {error}; give {form.what} that `{form.maker}` wrote, or {otherwise}") from error
    except DAMAGE as error:
        found = ascii(str(error)[:120]) if str(error) else type(error).__name__
        raise form.error(
            f"{name}: cannot be read as {form.what} ({found}); give one that `{form.maker}` wrote, or {otherwise}"
        ) from error


def fingerprint_of(fields: Any) -> Fingerprint:
    """A fingerprint in JSON.

    Raises:
        RefusedError: when it is none.
    """
    if not isinstance(fields, dict) or not all(isinstance(fields.get(key), str) for key in ("model_sha256", "layer")):
        raise RefusedError("its fingerprint names no model and layer")
    if not SHA256.fullmatch(fields["model_sha256"]):
        raise RefusedError(f"its fingerprint has the sha256 {ascii(fields['model_sha256'])[:80]}, which is none")
    return Fingerprint(fields["model_sha256"], fields["layer"], Preprocessing.from_dict(fields["preprocessing"]))


def texts_of(values: Any, what: str) -> tuple[str, ...]:
    """A list of texts that UTF-8 can hold, none of them empty.

    Raises:
        RefusedError: when it is none.
    """
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise RefusedError(f"its {what} are no list of texts")
    if any("\ud800" <= character <= "\udfff" for value in values for character in value):
        raise RefusedError(f"one of its {what} holds half a character")
    return tuple(values)


def _fill(file: Any, form: NpzForm, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    text = json.dumps({"format": form.format, **about}, sort_keys=True, allow_nan=False).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name in (*form.sides, *(name for name in form.optional if name in arrays)):
            add_array(archive, name, np.ascontiguousarray(arrays[name], "<f4"))
        add_array(archive, ABOUT, np.frombuffer(text, np.uint8))


def _entries(archive: zipfile.ZipFile, form: NpzForm) -> dict[str, zipfile.ZipInfo]:
    """By name, before anything is unpacked."""
    there = archive.infolist()
    optional = {f"{name}.npy" for name in form.optional}
    wanted = (*form.sides, ABOUT)
    needed = {f"{name}.npy" for name in wanted}
    found = [entry.filename for entry in there]
    if len(found) != len(set(found)) or not needed <= set(found) <= needed | optional:
        held = ", ".join(sorted(ascii(entry.filename) for entry in there)[:8])[:120]
        raise RefusedError(f"holds {held or 'nothing'}, and {', '.join(wanted)} are needed")
    size = sum(entry.file_size for entry in there)
    if size > form.largest:
        raise RefusedError(f"unpacks to {size} bytes, more than {form.what} can have ({form.largest})")
    if any(entry.compress_type not in METHODS for entry in there):
        raise RefusedError("is packed as this program packs nothing")
    return {entry.filename.removesuffix(".npy"): entry for entry in there}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, dtype: Any, sides: int) -> NDArray[Any]:
    with archive.open(entry) as file:
        content = file.read(LONGEST_HEADER)
        header = read_header(content)
        if header is None:
            raise RefusedError(f"{name} is no array of numbers: it begins with {content[:40]!r}")
        if header.dtype != dtype or len(header.shape) != sides:
            raise RefusedError(f"{name} has the type {header.dtype} and the shape {header.shape}, which cannot be")
        if header.size != entry.file_size:
            raise RefusedError(f"{name} has the shape {header.shape} and {entry.file_size} bytes, which do not agree")
        content += file.read(header.size - len(content))  # all of the entry, so zipfile checks its sum
    if len(content) != header.size:  # the archive's table was wrong, too
        raise RefusedError(f"{name} has {len(content)} bytes, and its header says {header.size}")
    return values_of(content, header)


def _about(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, form: NpzForm) -> dict[str, Any]:
    if entry.file_size > form.largest_about:
        raise RefusedError(f"its JSON has {entry.file_size} bytes, more than {form.largest_about}")
    text = _array(archive, entry, ABOUT, np.uint8, 1).tobytes()
    about = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_table)
    found = about.get("format") if isinstance(about, dict) else about
    if found != form.format:
        raise RefusedError(f"has the format {ascii(found)[:60]}, and this version reads {form.format!r}")
    return dict(about)


def _refuse_constant(text: str) -> NoReturn:
    raise RefusedError(f"its JSON holds {text}, which is no number")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse_constant(text[:40])


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise RefusedError("its JSON has a key twice")
    return table
