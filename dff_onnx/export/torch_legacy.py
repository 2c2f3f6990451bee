"""What `torch.save` wrote before PyTorch 1.6: five pickles in a row, then the storages.

magic number | protocol version | system | the object | keys of the storages | length, numbers | length, numbers ...
"""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO

from dff_onnx.errors import CheckpointError
from dff_onnx.export.pickles import run_pickle
from dff_onnx.export.tensors import Contents, Storage, Tensor, shown

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

# The five pickles lie within the first so many bytes.
LARGEST_HEAD = 64 * 2**20


def read_torch_legacy(file: BinaryIO) -> Contents:
    """Reads the pickles of a legacy file; storages are read when asked for.

    Raises:
        CheckpointError: without the file's name.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = io.BytesIO(file.read(min(LARGEST_HEAD, size)))
    # Every one of these pickles could carry code, the magic number's too: none is loaded by Python's unpickler.
    if run_pickle(head) != MAGIC_NUMBER:
        raise CheckpointError("begins like a pickle but not like a file of torch.save; save network.state_dict() by it")
    if (version := run_pickle(head)) != PROTOCOL:
        raise CheckpointError(f"has torch.save's protocol {version!r:.20}, only {PROTOCOL} is known")
    system, tree, keys = run_pickle(head), run_pickle(head), run_pickle(head)
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    spans = _spans(file, head.tell(), size, keys, _storages(tree), big_endian)

    def read(storage: Storage) -> bytes:
        if storage.key not in spans:
            raise CheckpointError(f"has no storage {shown(storage.key)}")
        start, length = spans[storage.key]
        file.seek(start)
        return file.read(length)

    return Contents(tree, read, big_endian)


def _spans(
    file: BinaryIO, position: int, size: int, keys: Any, storages: dict[str, Storage], big_endian: bool
) -> dict[str, tuple[int, int]]:
    """Where each storage's numbers lie: `(first byte, bytes)`."""
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise CheckpointError("its list of storages is no list of names")
    spans: dict[str, tuple[int, int]] = {}
    for key in keys:
        if key not in storages or key in spans:
            raise CheckpointError(f"lists storage {shown(key)} twice or without a tensor in it")
        file.seek(position)
        length_field = file.read(8)
        if len(length_field) < 8:
            raise CheckpointError(f"ends before storage {shown(key)}; it is cut off, download or save it again")
        (length,) = struct.unpack(">q" if big_endian else "<q", length_field)
        span = length * storages[key].element.size
        if length < 0 or span > size - position - 8:
            raise CheckpointError(f"ends within storage {shown(key)}; it is cut off, download or save it again")
        spans[key] = (position + 8, span)
        position += 8 + span
    return spans


def _storages(tree: Any) -> dict[str, Storage]:
    """Every storage that the object mentions; a loop, because a hostile tree may be deeper than any recursion."""
    found: dict[str, Storage] = {}
    waiting, seen = [tree], set[int]()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor | Storage):
            storage = item.storage if isinstance(item, Tensor) else item
            if found.setdefault(storage.key, storage).element is not storage.element:
                raise CheckpointError(f"uses storage {shown(storage.key)} with two types of number")
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return found
