"""Pickles of plain data and NumPy arrays, as data sets publish their ground truth, read without executing them.

Arrays stay as they are stored until they are asked for: NumPy's own functions, which a pickle names, are never called.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import DatasetError
from dff_onnx.inert_pickle import Name, PickleMachine

MOST_BYTES = 64 * 2**20  # that all texts which stand for bytes may have together
KINDS = frozenset("i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 b1".split())  # noqa: SIM905
MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


@dataclass(slots=True)
class PickledType:
    """A NumPy type of numbers; its byte order is set later."""

    kind: str
    order: str = "<"

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it."""
        return np.dtype(self.order + self.kind)


@dataclass(slots=True)
class PickledArray:
    """A NumPy array as it is stored."""

    shape: tuple[int, ...] = (0,)
    type: PickledType | None = None
    data: bytes | bytearray | str = b""
    fortran: bool = False

    @property
    def size(self) -> int:
        """How many numbers it says it has."""
        return math.prod(self.shape)

    def numbers(self) -> NDArray[Any]:
        """The array; raises `DatasetError` where its bytes and its shape do not fit."""
        if self.type is None or len(self.data) != self.size * self.type.dtype.itemsize:
            raise DatasetError(f"an array of the shape {self.shape} has {len(self.data)} bytes, which do not fit")
        try:
            raw = self.data.encode("latin-1") if isinstance(self.data, str) else bytes(self.data)
            return np.frombuffer(raw, self.type.dtype).reshape(self.shape, order="F" if self.fortran else "C")
        except ValueError as error:
            raise DatasetError(f"an array of the shape {self.shape} is damaged") from error


def read_pickle(data: bytes) -> Any:
    """What a pickle of any protocol holds.

    Returns:
        Numbers, texts, bytes, tuples, lists, dicts and `PickledArray`.

    Raises:
        DatasetError: without the file's name, for anything else, and for what is damaged.

    >>> import pickle
    >>> read_pickle(pickle.dumps({"easy": [1, 2]}))
    {'easy': [1, 2]}
    """
    return _NumpyMachine().run(io.BytesIO(data))


class _NumpyMachine(PickleMachine):
    error = DatasetError
    needed_by = "list of numbers needs"
    literals = PickleMachine.literals | {
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "LONG", "FLOAT", "STRING", "UNICODE",
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self._room = MOST_BYTES

    def allowed(self, module: str, attribute: str) -> Name:
        if (module, attribute) in _CALLED or (module, attribute) == ("numpy", "ndarray"):
            return Name(module, attribute)
        return super().allowed(module, attribute)

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        if (function.module, function.attribute) not in _CALLED:
            return super().call(function, arguments)
        return _CALLED[function.module, function.attribute](self, arguments)

    def set_state(self, target: Any, state: Any) -> None:
        if isinstance(target, PickledArray):
            _, shape, kind, target.fortran, target.data = state
            self._shape(target, shape, kind)
        elif isinstance(target, PickledType):
            target.order = state[1] if state[1] in ("<", ">") else "<"
        else:
            super().set_state(target, state)

    def _shape(self, target: PickledArray, shape: Any, kind: Any) -> None:
        if not (type(shape) is tuple and len(shape) <= 8 and all(type(n) is int and 0 <= n < 2**40 for n in shape)):
            raise DatasetError("its pickle has an array of a shape that cannot be")
        if not isinstance(kind, PickledType) or not isinstance(target.data, bytes | bytearray | str):
            raise DatasetError("its pickle has an array that is not of numbers")
        target.shape, target.type = shape, kind

    def empty_array(self, _arguments: tuple[Any, ...]) -> PickledArray:
        """`_reconstruct`: its state comes later."""
        return PickledArray()

    def whole_array(self, arguments: tuple[Any, ...]) -> PickledArray:
        """`_frombuffer`, since protocol 5."""
        data, kind, shape, order = arguments
        array = PickledArray(data=data, fortran=order == "F")
        self._shape(array, shape, kind)
        return array

    def number(self, arguments: tuple[Any, ...]) -> Any:
        """`scalar`: a number in NumPy's clothes."""
        kind, data = arguments
        array = PickledArray(data=data)
        self._shape(array, (1,), kind)
        return array.numbers()[0].item()

    def type_of_numbers(self, arguments: tuple[Any, ...]) -> PickledType:
        """`dtype`."""
        kind = arguments[0]
        if type(kind) is not str or kind not in KINDS:
            raise DatasetError(f"its pickle has an array of {kind!r:.40}, which are no numbers")
        return PickledType(kind)

    def encoded(self, arguments: tuple[Any, ...]) -> bytes:
        """`_codecs.encode`: how protocols below 3 write bytes."""
        text, encoding = arguments
        if type(text) is not str or encoding not in ("latin1", "latin-1"):
            raise DatasetError("its pickle encodes something that is no text")
        self._room -= len(text)  # a short loop of instructions could encode one long text again and again
        if self._room < 0:
            raise DatasetError(f"its pickle has more than {MOST_BYTES} bytes")
        return text.encode("latin-1")

    def no_bytes(self, arguments: tuple[Any, ...]) -> bytes:
        """`bytes()`, likewise."""
        if arguments:
            raise DatasetError("its pickle makes bytes of something")
        return b""

    def list_of_group(self, _argument: Any) -> None:
        """LIST, of protocol 0."""
        self.push(self.pop_to_mark())

    def dict_of_group(self, _argument: Any) -> None:
        """DICT, of protocol 0."""
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    instructions = {  # noqa: RUF012
        "LIST": list_of_group,
        "DICT": dict_of_group,
        "PUT": PickleMachine.memoize,
        "GET": PickleMachine.recall,
    }


_Called = Callable[[_NumpyMachine, tuple[Any, ...]], Any]
_CALLED: Mapping[tuple[str, str], _Called] = {
    ("numpy", "dtype"): _NumpyMachine.type_of_numbers,
    ("_codecs", "encode"): _NumpyMachine.encoded,
    ("__builtin__", "bytes"): _NumpyMachine.no_bytes,
    **{(module, "_reconstruct"): _NumpyMachine.empty_array for module in MULTIARRAY},
    **{(module, "scalar"): _NumpyMachine.number for module in MULTIARRAY},
    **{(module, "_frombuffer"): _NumpyMachine.whole_array for module in NUMERIC},
}
