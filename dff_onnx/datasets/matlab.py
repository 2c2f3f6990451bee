"""A reader of MATLAB 5 files, as far as the annotations of PASCAL-Part need it.

SciPy's reader follows any nesting, and a file of 5 MB that nests deep enough ends the process; so hostile files cannot
be given to it. This one bounds depth, size and counts. Format: "MAT-File Format", MathWorks, chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import DatasetError

# What a value can be: an array of numbers, a text, a list of structures in column order, or cells.
Value = NDArray[np.generic] | str | list["Fields"] | tuple["Value", ...]
Fields = dict[str, Value]

HEADER = 128
LARGEST = 512 * 2**20  # unpacked; a picture of 500 x 500 pixels with 600 masks has 150 MB
DEEPEST = 12
MOST_ARRAYS = 100_000  # a picture with 30 objects of 20 parts each has 2000
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)


class Element(NamedTuple):
    """A piece of the file: its type, its bytes, and where the next one begins."""

    kind: int
    data: memoryview
    end: int


def read_matlab(data: bytes) -> Fields:
    """The variables of a MATLAB 5 file (`save -v7`, or older) by name.

    Raises:
        DatasetError: when it is no such file, is damaged, or holds what is not read here (objects, sparse arrays).
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or data[124:126] != struct.pack(f"{order}H", 0x0100):
        raise DatasetError("is no MATLAB 5 file (`save -v7`)")
    try:
        return _Reader(order).variables(memoryview(data)[HEADER:])
    except (struct.error, zlib.error, ValueError, MemoryError) as error:
        raise DatasetError(f"is damaged ({str(error)[:120] or type(error).__name__})") from error


@dataclass
class _Reader:
    """Reads in one byte order."""

    order: str
    room: int = LARGEST
    arrays: int = 0

    def variables(self, data: memoryview) -> Fields:
        found: Fields = {}
        while data:
            element = self._element(data, padded=False)
            data = data[element.end :]
            if element.kind == COMPRESSED:
                element = self._element(self._inflated(element.data))
            if element.kind == MATRIX:
                name, value = self._matrix(element.data, 0)
                found[name] = value
        return found

    def _inflated(self, data: memoryview) -> memoryview:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(data, self.room)
        if inflater.unconsumed_tail or not inflater.eof:
            raise DatasetError(f"is cut short, or unpacks to more than {LARGEST} bytes")
        self.room = max(self.room - len(plain), 1)  # 0 would mean no limit
        return memoryview(plain)

    def _element(self, data: memoryview, padded: bool = True) -> Element:
        kind, size = struct.unpack_from(f"{self.order}II", data)
        if kind >> 16:  # a small element: its size, type and up to 4 bytes in 8
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise DatasetError(f"is damaged (a small element of {size} bytes)")
            return Element(kind, data[4 : 4 + size], 8)
        if size > len(data) - 8:
            raise DatasetError(f"is cut short (an element of {size} bytes, and {len(data) - 8} are left)")
        end = 8 + size + (-size % 8 if padded else 0)
        return Element(kind, data[8 : 8 + size], end)

    def _matrix(self, data: memoryview, depth: int) -> tuple[str, Value]:
        """An array of any class, and its name."""
        self.arrays += 1
        if self.arrays > MOST_ARRAYS:
            raise DatasetError(f"holds more than {MOST_ARRAYS} arrays")
        if not data:  # how MATLAB writes []
            return "", np.zeros((0, 0))
        if depth > DEEPEST:
            raise DatasetError(f"nests deeper than {DEEPEST} levels")
        parts = []
        for _ in range(3):
            parts.append(self._element(data))
            data = data[parts[-1].end :]
        flags, dims, name = parts
        kind = struct.unpack_from(f"{self.order}I", flags.data)[0] & 0xFF
        shape = tuple(int(d) for d in self._numbers(dims))
        if not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise DatasetError(f"is damaged (an array of the shape {shape})")
        return str(name.data, "latin-1"), self._value(kind, shape, data, depth)

    def _value(self, kind: int, shape: tuple[int, ...], data: memoryview, depth: int) -> Value:
        if kind in NUMBERS:
            values = self._numbers(self._element(data))
            if len(values) != prod(shape):
                raise DatasetError(f"is damaged (the shape {shape} and {len(values)} values)")
            return values.reshape(shape, order="F")
        if kind == CHAR:
            return self._text(self._element(data))
        if kind not in (CELL, STRUCT):
            raise DatasetError(
                f"holds an array of the class {kind}, which is neither numbers, text, cell nor structure"
            )
        if prod(shape) > MOST_ARRAYS:
            raise DatasetError(f"holds a list of {prod(shape)}, more than {MOST_ARRAYS}")
        if kind == STRUCT:
            return self._structures(prod(shape), data, depth)
        return tuple(self._cells(prod(shape), data, depth)[0])

    def _numbers(self, element: Element) -> NDArray[np.generic]:
        if element.kind not in STORED:
            raise DatasetError(f"is damaged (numbers of the type {element.kind})")
        return np.frombuffer(element.data, self.order + STORED[element.kind])

    def _text(self, element: Element) -> str:
        encoding = ENCODINGS.get(element.kind)
        if encoding is None:
            raise DatasetError(f"is damaged (text of the type {element.kind})")
        if encoding == "utf-16":
            encoding += "-le" if self.order == "<" else "-be"
        return str(element.data, encoding)

    def _cells(self, count: int, data: memoryview, depth: int) -> tuple[list[Value], memoryview]:
        values = []
        for _ in range(count):
            element = self._element(data)
            if element.kind != MATRIX:
                raise DatasetError(f"is damaged (a {element.kind} where an array should be)")
            data = data[element.end :]
            values.append(self._matrix(element.data, depth + 1)[1])
        return values, data

    def _structures(self, count: int, data: memoryview, depth: int) -> list[Fields]:
        length, names = self._element(data), b""
        data = data[length.end :]
        size = int(self._numbers(length)[0]) if len(length.data) else 0
        table = self._element(data)
        data, names = data[table.end :], bytes(table.data)
        if not 1 <= size <= 64 or len(names) % size or len(names) // size > MOST_ARRAYS:
            raise DatasetError("is damaged (the names of a structure's fields)")
        keys = [names[i : i + size].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), size)]
        found = []
        for _ in range(count):
            values, data = self._cells(len(keys), data, depth)
            found.append(dict(zip(keys, values, strict=True)))
        return found
