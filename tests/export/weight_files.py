"""Writes files of weights byte by byte, good and hostile ones, without torch: pickles from single instructions."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

MAGIC, VERSION, END = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x02M\xe9\x03.", b"."
KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "i4": "IntStorage"}
SAFE_KINDS = {"f4": "F32", "f8": "F64", "f2": "F16", "i8": "I64", "i4": "I32"}


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def named(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def group(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def numbers(values: Iterable[int]) -> bytes:
    return group(*map(number, values))


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + group(*arguments) + b"R"


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def ordered(items: Mapping[str, bytes]) -> bytes:
    return call(named("collections", "OrderedDict")) + b"(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def storage(key: str, length: int, kind: str = "FloatStorage", view: bytes | None = None) -> bytes:
    last = () if view is None else (view,)
    return group(text("storage"), named("torch", kind), text(key), text("cpu"), number(length), *last) + b"Q"


def tensor(source: bytes, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> bytes:
    hooks = call(named("collections", "OrderedDict"))
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, source, number(offset), numbers(shape), numbers(strides), b"\x89", hooks)


def whole_tensor(key: str, array: NDArray[Any]) -> bytes:
    kind = KINDS[array.dtype.str[1:]]
    strides = [stride // array.itemsize for stride in np.empty(array.shape, array.dtype).strides]
    return tensor(storage(key, array.size, kind), array.shape, strides)


def state(arrays: Arrays) -> bytes:
    return ordered({name: whole_tensor(str(i), array) for i, (name, array) in enumerate(arrays.items())})


def storages(arrays: Arrays) -> dict[str, tuple[int, bytes]]:
    return {str(i): (array.size, array.tobytes()) for i, array in enumerate(arrays.values())}


def write_zip(
    path: Path,
    tree: bytes,
    data: Mapping[str, tuple[int, bytes]],
    compression: int = zipfile.ZIP_STORED,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + tree + END)
        for key, (_, content) in data.items():
            archive.writestr(f"archive/data/{key}", content)
        for name, content in (extra or {}).items():
            archive.writestr(name, content)
    return path


def write_legacy(path: Path, tree: bytes, data: Mapping[str, tuple[int, bytes]], order: str = "<") -> Path:
    system = mapping({"little_endian": b"\x88" if order == "<" else b"\x89"})
    keys = b"](" + b"".join(map(text, data)) + b"e"
    head = MAGIC + VERSION + b"".join(b"\x80\x02" + part + END for part in (system, tree, keys))
    path.write_bytes(head + b"".join(struct.pack(order + "q", n) + content for n, content in data.values()))
    return path


def write_safetensors(path: Path, arrays: Arrays, **changes: Any) -> Path:
    """`changes` replaces fields of the first tensor's entry."""
    header: dict[str, Any] = {}
    position = 0
    for name, array in arrays.items():
        span = [position, position + array.nbytes]
        header[name] = {"dtype": SAFE_KINDS[array.dtype.str[1:]], "shape": list(array.shape), "data_offsets": span}
        position += array.nbytes
    if changes:
        header[next(iter(arrays))] |= changes
    write_header(path, json.dumps(header).encode(), b"".join(array.tobytes() for array in arrays.values()))
    return path


def write_header(path: Path, header: bytes, content: bytes = b"", length: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + content)
    return path


def write(path: Path, form: str, arrays: Arrays) -> Path:
    if form == "safetensors":
        return write_safetensors(path, arrays)
    return (write_zip if form == "zip" else write_legacy)(path, state(arrays), storages(arrays))
