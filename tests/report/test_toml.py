"""What the TOML writer writes, the standard library reads back."""

from __future__ import annotations

import math
import tomllib
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dff_onnx.report.toml import to_toml

texts = st.text(st.characters(exclude_categories=["Cs"]))
plain = (
    texts
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=4), max_leaves=8)
tables = st.recursive(
    st.dictionaries(texts, values, max_size=4),
    lambda inner: st.dictionaries(texts, values | inner, max_size=4),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal type: 1, 1.0 and True are three things."""
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other and repr(one) == repr(other)


def tables_last(table: dict[str, Any]) -> dict[str, Any]:
    """The order a TOML file must have."""
    inner = {key: tables_last(value) for key, value in table.items() if isinstance(value, dict)}
    return {key: value for key, value in table.items() if key not in inner} | inner


@given(tables)
@example({"": {"": {"a.b": 1}}, "a b": 'quote" \\ backslash', "[x]": "# no comment"})
@example({"controls": "".join(map(chr, range(0x20))) + "\x7f\x80\u2028\ufeff\ufffe\U0001f418"})
@example({"floats": [0.0, -0.0, 1e16, 1e-5, 1e22, 5e-324, 1.7976931348623157e308]})
def test_tables_come_back(table: dict[str, Any]) -> None:
    text = to_toml(table)
    assert same(tomllib.loads(text.encode().decode()), tables_last(table))
    assert text.endswith("\n")


def test_a_line_of_comment_may_stand_before_it() -> None:
    assert tomllib.loads("# dff-onnx run\n" + to_toml({"k": 4})) == {"k": 4}


def test_a_text_cannot_leave_its_line() -> None:
    hostile = 'x"\nadmin = true\n[evil]\r\n"""'
    text = to_toml({"folder": hostile, "settings": {"k": 1}})
    assert tomllib.loads(text) == {"folder": hostile, "settings": {"k": 1}}
    assert len(text.splitlines()) == 4


def test_numbers_of_numpy_and_enumerations_are_plain_values() -> None:
    class Size(IntEnum):
        SMALL = 3

    class Solver(StrEnum):
        HALS = "hals"

    table = {"a": np.float64(0.1), "b": Size.SMALL, "c": Solver.HALS}
    assert tomllib.loads(to_toml(table)) == {"a": 0.1, "b": 3, "c": "hals"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, b"x", {1}, 2**63, [None], [{"a": 1}]])
def test_what_toml_has_no_place_for_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match="no place"):
        to_toml({"a": {"b": value}})


@pytest.mark.parametrize("table", [{"a": "\udcff"}, {"\ud800": 1}, {"\udfff": {"a": 1}}])
def test_a_lone_surrogate_is_an_error_and_no_broken_file(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        to_toml(table)
