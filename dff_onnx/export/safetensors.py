"""The safetensors format: a length, a JSON header, the tensors' bytes. See huggingface.co/docs/safetensors."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError
from dff_onnx.export import tensors
from dff_onnx.export.tensors import Contents, Element, Storage, contiguous, shown

# The format's own limit.
LONGEST_HEADER = 100_000_000

ELEMENTS: dict[str, Element] = {
    "F64": tensors.FLOAT64,
    "F32": tensors.FLOAT32,
    "F16": tensors.FLOAT16,
    "BF16": tensors.BFLOAT16,
    "F8_E4M3": tensors.FLOAT8,
    "F8_E5M2": tensors.FLOAT8,
    "I64": tensors.INT64,
    "I32": tensors.INT32,
    "I16": tensors.INT16,
    "I8": tensors.INT8,
    "U64": tensors.UINT64,
    "U32": tensors.UINT32,
    "U16": tensors.UINT16,
    "U8": tensors.UINT8,
    "BOOL": tensors.BOOL,
}


def read_safetensors(file: BinaryIO) -> Contents:
    """Reads the header of a safetensors file; tensors are read when asked for.

    Raises:
        CheckpointError: without the file's name.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
    if length > min(LONGEST_HEADER, size - 8):
        raise CheckpointError(f"its header claims {length} bytes, the file has {size}; it is cut off or no safetensors")
    header = _parsed(file.read(length))
    spans = {name: _span(name, entry, size - 8 - length) for name, entry in header.items() if name != "__metadata__"}
    _check_cover(spans.values(), size - 8 - length)
    storages = {name: _storage(name, header[name], spans[name]) for name in spans}
    tree = {name: contiguous(storages[name], header[name]["shape"]) for name in spans}

    def read(storage: Storage) -> bytes:
        begin, end = spans[storage.key]
        file.seek(8 + length + begin)
        return file.read(end - begin)

    return Contents(tree, read)


def safetensors_bytes(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """A safetensors file of float32 arrays, in their order."""
    header: dict[str, Any] = {}
    position = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps(header).encode()
    content = [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays.values()]
    return b"".join((struct.pack("<Q", len(text)), text, *content))


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its header is not the JSON of a safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError("its header is not a JSON object")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise CheckpointError("its header names something twice")
    return found


def _span(name: str, entry: Any, size: int) -> tuple[int, int]:
    try:
        begin, end = entry["data_offsets"]
        known = entry["dtype"] in ELEMENTS and isinstance(entry["shape"], list)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"its header says of {shown(name)} no dtype, shape and data_offsets") from error
    if not known:
        raise CheckpointError(f"its header gives {shown(name)} a dtype or shape that is not known")
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end <= size:
        raise CheckpointError(f"its header places {shown(name)} outside the file")
    return begin, end


def _check_cover(spans: Iterable[tuple[int, int]], size: int) -> None:
    """The format allows neither overlaps nor holes: bytes that no tensor owns could hold anything."""
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise CheckpointError("its tensors overlap or leave a hole, which safetensors does not allow")
        reached = end
    if reached != size:
        raise CheckpointError(
            f"its tensors take {reached} bytes, the file has {size} for them; it is cut off or padded"
        )


def _storage(name: str, entry: dict[str, Any], span: tuple[int, int]) -> Storage:
    element = ELEMENTS[entry["dtype"]]
    length, rest = divmod(span[1] - span[0], element.size)
    sizes = entry["shape"]
    if rest or not all(type(size) is int and 0 <= size < 2**48 for size in sizes) or math.prod(sizes) != length:
        raise CheckpointError(f"its header gives {shown(name)} a shape that does not fit its bytes")
    return Storage(name, element, length)
