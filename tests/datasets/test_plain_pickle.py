"""Pickles of plain data: every protocol gives what Python's own unpickler gives, and nothing is executed."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from dff_onnx.datasets.plain_pickle import PickledArray, read_pickle
from dff_onnx.errors import DatasetError

PLAIN: Any = {
    "numbers": [0, -1, 255, 2**16, -(2**31), 2**40, -(2**70), 1.5, float("inf"), True, None],
    "texts": ("", "é \U0001f41d", "a'b\\c\nd"),
    3: {"nested": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), []]},
    "ordered": OrderedDict(a=1),
    "bytes": [b"", b"\x00\xff"],
}
PLAIN["again"] = PLAIN["numbers"]
ARRAYS = {
    "rows": np.arange(6, dtype=np.int32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.array([1, -2], ">i8"),
    "none": np.zeros((0, 3), np.uint16),
    "one": np.array(7, np.int8),
    "flags": np.array([True, False]),
    "part": np.arange(10, dtype=np.float32)[1:8:3],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_what_it_was(protocol: int) -> None:
    assert read_pickle(pickle.dumps(PLAIN, protocol)) == PLAIN


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_what_they_were(protocol: int, name: str) -> None:
    found = read_pickle(pickle.dumps([ARRAYS[name]], protocol))[0]
    assert isinstance(found, PickledArray)
    numbers = found.numbers()
    assert numbers.dtype == ARRAYS[name].dtype and numbers.shape == ARRAYS[name].shape
    np.testing.assert_array_equal(numbers, ARRAYS[name])


@pytest.mark.parametrize("number", [np.int64(-5), np.float32(0.5), np.bool_(True), np.uint8(255)])
def test_numbers_of_numpy_become_numbers(number: Any) -> None:
    found = read_pickle(pickle.dumps(number))
    assert found == number and type(found) in (int, float, bool)


@pytest.mark.parametrize(
    "value", [{1, 2}, 1j, range(3), np.array(["a"]), np.array([None]), np.array([1j]), np.zeros(2, "i4,f8"), print, int]
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(DatasetError):
        read_pickle(pickle.dumps(value, 4))
