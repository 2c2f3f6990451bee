"""Where two sets of settings differ, for messages that refuse one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SHA256 = re.compile("[0-9a-f]{64}")
LONGEST = 120  # characters of a value: a file may hold anything


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two sets of plain values, as JSON has them, do not share, in words.

    Args:
        there: of a file; mappings in it are looked into.
        now: asked for.

    >>> differences({"settings": {"size": 320, "k": 12}}, {"settings": {"size": 224}})
    'settings.size 320 there, 224 now; settings.k 12 there, none now'
    """
    before, after = _leaves(there), _leaves(now)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(f"{name} {_shown(before.get(name))} there, {_shown(after.get(name))} now" for name in names)


def _leaves(values: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    leaves = dict[str, Any]()
    for name, value in values.items():
        leaves |= _leaves(value, f"{at}{name}.") if isinstance(value, Mapping) else {f"{at}{name}": value}
    return leaves


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value[:12] if isinstance(value, str) and SHA256.fullmatch(value) else ascii(value)[:LONGEST]
