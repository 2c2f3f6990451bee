"""Where a tensor's values lie in a file of weights, and how they become an array. Nothing here trusts the file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import CheckpointError

# VGG's first fully connected layer, the largest tensor in any of the networks, has 1.03e8 elements.
MOST_ELEMENTS = 2**28
MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class Element:
    """A type of number.

    Attributes:
        name: for people.
        code: NumPy's, without the byte order.
    """

    name: str
    code: str

    @property
    def size(self) -> int:
        """In bytes."""
        return np.dtype(self.code).itemsize

    @property
    def real(self) -> bool:
        """Whether weights can be of it."""
        return self.code[0] == "f" or self is BFLOAT16


# NumPy has no bfloat16; its bits are the upper half of a float32.
BFLOAT16 = Element("bfloat16", "u2")
FLOAT16, FLOAT32, FLOAT64 = Element("float16", "f2"), Element("float32", "f4"), Element("float64", "f8")
INT8, INT16, INT32, INT64 = (Element(f"int{8 * size}", f"i{size}") for size in (1, 2, 4, 8))
UINT8, UINT16, UINT32, UINT64 = (Element(f"uint{8 * size}", f"u{size}") for size in (1, 2, 4, 8))
BOOL, FLOAT8 = Element("bool", "u1"), Element("float8", "u1")


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in a file that one or several tensors look into.

    Attributes:
        key: its name in the file.
        element: the type of its numbers.
        length: how many.
        start: where it begins inside the storage `key`, in elements (old files have storages inside storages).
    """

    key: str
    element: Element
    length: int
    start: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, as PyTorch describes it; all figures in elements. Made by `tensor`, which checks it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of a file of weights: no number of a tensor yet.

    Attributes:
        tree: dicts and lists with `Tensor` in them.
        read: the bytes of a storage, as many as it claims.
        big_endian: the order of the bytes in each number.
    """

    tree: Any
    read: Callable[[Storage], bytes]
    big_endian: bool = False


def tensor(storage: Storage, offset: Any, shape: Any, strides: Any) -> Tensor:
    """A tensor whose every element lies inside its storage.

    Raises:
        CheckpointError: for a geometry that leaves the storage, is negative, or is larger than any network needs.

    >>> tensor(Storage("0", FLOAT32, 6), 0, (3, 2), (1, 3)).shape
    (3, 2)
    """
    shape, strides = _whole_numbers(shape, "shape"), _whole_numbers(strides, "strides")
    (offset,) = _whole_numbers((offset,), "offset")
    if len(shape) != len(strides):
        raise CheckpointError(f"a tensor has {len(shape)} axes and {len(strides)} strides")
    if 0 not in shape:
        if math.prod(shape) > MOST_ELEMENTS:
            raise CheckpointError(f"a tensor claims the shape {shape}, more than {MOST_ELEMENTS} elements")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if last >= storage.length:
            raise CheckpointError(f"a tensor reaches element {last} of a storage that has {storage.length}")
    return Tensor(storage, offset, shape, strides)


def contiguous(storage: Storage, shape: Sequence[Any]) -> Tensor:
    """A tensor that fills its storage row by row."""
    checked = _whole_numbers(shape, "shape")
    strides = tuple(math.prod(checked[axis + 1 :]) for axis in range(len(checked)))
    return tensor(storage, 0, checked, strides)


def values(tensor: Tensor, data: bytes, *, big_endian: bool = False) -> NDArray[Any]:
    """The tensor's numbers, contiguous: float16/32/64 as they are, bfloat16 exactly as float32.

    Args:
        tensor: made by `tensor`, which proved that it lies inside its storage.
        data: the bytes of the storage `tensor.storage.key`.
        big_endian: the order of the bytes in each number.

    Raises:
        CheckpointError: when there are fewer bytes than the storage claims, or the numbers are not floating-point.
    """
    storage = tensor.storage
    element, end = storage.element, storage.start + storage.length
    if not element.real:
        raise CheckpointError(f"holds {element.name} where weights are floating-point; save an unquantized state_dict")
    if len(data) < end * element.size:
        raise CheckpointError(
            f"storage {shown(storage.key)} has {len(data)} bytes, its tensors need {end * element.size}"
        )
    flat = np.frombuffer(data, ">" + element.code if big_endian else "<" + element.code, end)[storage.start :]
    strides = tuple(stride * element.size for stride in tensor.strides)
    if 0 in tensor.shape:
        return np.empty(tensor.shape, np.float32)
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)
    if element is BFLOAT16:
        return (view.astype(np.uint32, order="C") << 16).view(np.float32)
    return np.array(view, view.dtype.newbyteorder("="), order="C")


def shown(text: str) -> str:
    """Text out of a file, fit for a sentence: quoted, escaped, cut.

    >>> shown("a\\x1b" + 200 * "b")[:10]
    "'a\\\\x1bbbbb"
    """
    return repr(text if len(text) <= 100 else text[:99] + "…")


def _whole_numbers(figures: Any, what: str) -> tuple[int, ...]:
    if not isinstance(figures, tuple | list) or len(figures) > MOST_AXES:
        raise CheckpointError(f"a tensor's {what} is not a list of at most {MOST_AXES} numbers")
    # 2**48: any sum of products of them is still a small integer for Python.
    if not all(type(figure) is int and 0 <= figure < 2**48 for figure in figures):
        raise CheckpointError(f"a tensor's {what} has a number that is negative, huge, or none")
    return tuple(figures)
