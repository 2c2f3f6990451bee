"""What `torch.save` writes since PyTorch 1.6: a zip archive of one pickle and one uncompressed file per storage."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
from typing import BinaryIO

from dff_onnx.errors import CheckpointError
from dff_onnx.export.pickles import run_pickle
from dff_onnx.export.tensors import Contents, Storage, shown

MAGIC = b"PK\x03\x04"

# The pickle of ResNet-152 with AdamW's state takes 227 kB.
LARGEST_PICKLE = 64 * 2**20

# What `zipfile` raises for archives that are damaged, encrypted, or of a kind it does not know.
_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)


def read_torch_zip(file: BinaryIO) -> Contents:
    """Reads the pickle of a zip archive; storages are read when asked for.

    Raises:
        CheckpointError: without the file's name.
    """
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise CheckpointError(f"its zip archive is damaged ({error}); download or save it again") from error
    members = _Members(archive, size=file.seek(0, io.SEEK_END))
    stream = members.read("data.pkl", LARGEST_PICKLE)
    big_endian = members.has("byteorder") and members.read("byteorder", 16) == b"big"
    return Contents(run_pickle(io.BytesIO(stream)), members.read_storage, big_endian)


class _Members:
    """The archive's files below its one folder. Names are only looked up in the archive, never on disk."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive, self._size = archive, size
        self._infos: dict[str, zipfile.ZipInfo] = {}
        names = archive.namelist()
        self._root = next((name[: -len("data.pkl")] for name in names if name.endswith("/data.pkl")), "")
        if any(name.startswith(f"{self._root}code/") for name in names):
            raise CheckpointError("is a TorchScript archive; save network.state_dict() with torch.save instead")
        for info in archive.infolist():
            if info.filename in self._infos:
                raise CheckpointError(f"its zip archive has two files named {shown(info.filename)}")
            self._infos[info.filename] = info
        # Several parameters may look into one storage: keep the last.
        self.read_storage = functools.lru_cache(maxsize=1)(self._read_storage)

    def has(self, name: str) -> bool:
        return self._root + name in self._infos

    def read(self, name: str, limit: int) -> bytes:
        if not self.has(name):
            raise CheckpointError(f"its zip archive has no {shown(name)}, which torch.save writes")
        info = self._infos[self._root + name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise CheckpointError(
                f"{shown(name)} in its zip archive is compressed or encrypted; torch.save does neither"
            )
        if info.file_size > min(limit, self._size):
            raise CheckpointError(f"{shown(name)} in its zip archive claims {info.file_size} bytes, too many")
        try:
            return self._archive.read(info)
        except _DAMAGE as error:
            raise CheckpointError(f"{shown(name)} in its zip archive is damaged ({error})") from error

    def _read_storage(self, storage: Storage) -> bytes:
        return self.read(f"data/{storage.key}", self._size)
