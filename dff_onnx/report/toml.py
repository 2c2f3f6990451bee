"""A small TOML writer; the standard library only reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_toml(tables: Mapping[str, Any]) -> str:
    """Tables of strings, numbers, truth values, lists of these, and tables, as TOML.

    Raises:
        TypeError: for anything else: None, what is not finite, an integer beyond 64 bits.
        ValueError: for a text with a lone surrogate, which no TOML file can hold; `files.printable` makes a path fit.

    >>> print(to_toml({"k": 4, "model": {"name": "a"}}), end="")
    k = 4
    <BLANKLINE>
    [model]
    name = "a"
    """
    return "\n".join(_lines(tables, ())) + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = (*path, key)
            lines += [*([""] if lines else []), f"[{'.'.join(map(_key, inner))}]", *_lines(value, inner)]
    return lines


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "a").replace("-", "a").isalnum()
    return key if bare else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() if -(2**63) <= value < 2**63:
            return str(int(value))
        case float() if math.isfinite(value):
            return float.__repr__(value)  # NumPy's float64 is a float that calls itself `np.float64(...)`
        case str():
            return _string(value)
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            raise TypeError(f"TOML has no place for {value!r}")


def _string(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"TOML has no place for a lone surrogate: {text!r}")
    # JSON's escapes are TOML's, but for DEL and for characters beyond 16 bits, which TOML takes as they are.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
