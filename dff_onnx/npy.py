"""NumPy's `.npz` as this program writes and reads it: equal arrays give equal bytes, and nothing in a file is trusted.

Headers are read here and not by NumPy, which takes memory for any shape a header claims, and evaluates the header's
text as Python.
"""

from __future__ import annotations

import io
import lzma
import re
import zipfile
import zlib
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The only headers NumPy 1 and 2 write for little-endian float32 and for bytes, in row-major order.
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<type><f4|\|u1)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>\d{1,9},|\d{1,9}(, \d{1,9}){1,3})\), \} *\n",
    re.DOTALL,
)
LONGEST_HEADER = 256  # NumPy pads to multiples of 64; four sides of nine digits need 128
# All that `zipfile` and the readers above it were seen to raise on damaged files.
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


@dataclass(frozen=True, slots=True)
class Header:
    """What an entry's header says.

    Attributes:
        dtype: float32 or uint8.
        shape: of one to four sides.
        end: where the values begin, in bytes.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    end: int

    @property
    def size(self) -> int:
        """Bytes of the whole entry, if it tells the truth."""
        return self.end + prod(self.shape) * self.dtype.itemsize


def read_header(content: bytes) -> Header | None:
    """The header that an entry begins with; None where it is none of ours.

    >>> read_header(b"GIF89a") is None
    True
    """
    found = HEADER.match(content)
    if found is None:
        return None
    shape = tuple(int(part) for part in found["shape"].split(b",") if part)
    return Header(np.dtype(found["type"].decode()), shape, found.end())


def values_of(content: bytes, header: Header) -> NDArray[Any]:
    """The array in an entry's bytes, which are as many as the header says: a copy, aligned and writable."""
    values: NDArray[Any] = np.frombuffer(content, header.dtype, offset=header.end).reshape(header.shape)
    return values.astype(header.dtype.newbyteorder("="))


def add_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any], level: int | None = None) -> None:
    """One array as `name`.npy, under a date and a system that are always the same.

    Args:
        archive: open for writing.
        name: without suffix.
        array: of any type; little-endian and row-major where it shall be read again by `read_header`.
        level: of deflate; None stores the bytes as they are.
    """
    content = io.BytesIO()
    np.lib.format.write_array(content, array, version=(1, 0), allow_pickle=False)
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    method = zipfile.ZIP_STORED if level is None else zipfile.ZIP_DEFLATED
    archive.writestr(entry, content.getvalue(), method, level)
