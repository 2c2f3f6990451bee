"""Orders of values in every library."""

from __future__ import annotations

from typing import Any

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dff_onnx.arrays.order import kth_largest, order_by, stable_order

LIBRARIES = pytest.mark.parametrize("library", [np, array_api_strict], ids=["numpy", "array_api_strict"])
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2), st.integers(0, 3)), min_size=1, max_size=30)


@LIBRARIES
@given(rows=ROWS)
def test_rows_are_ordered_by_the_first_key_then_by_the_next(library: Any, rows: list[tuple[int, int, int]]) -> None:
    keys = [library.asarray([row[i] for row in rows]) for i in range(3)]
    assert [int(i) for i in order_by(*keys)] == sorted(range(len(rows)), key=lambda i: rows[i])
    assert [int(i) for i in stable_order(keys[0])] == sorted(range(len(rows)), key=lambda i: rows[i][0])


@LIBRARIES
@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=20), data=st.data())
def test_the_kth_largest_is_the_kth_of_the_sorted(library: Any, values: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    rows = library.asarray([values, values[::-1]])
    expected = sorted(values, reverse=True)[k - 1]
    assert [int(value) for value in kth_largest(rows, k)] == [expected, expected]
