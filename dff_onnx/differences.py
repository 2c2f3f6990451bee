"""In what two sets of settings differ, for messages that refuse one of them and for tables that compare them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 6
LONGEST = 120  # characters of a value in a sentence: a file may hold anything
SHORT = 24  # the same in a table
THERE_AND_NOW = "{} there, {} now"
SHA256 = re.compile("'[0-9a-f]{64}'")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field with what it is in each; a field that one has not is `nothing` there."""

    what: str
    first: str
    second: str

    def told(self, form: str, longest: int = LONGEST) -> str:
        """A clause, from a form such as `{} there, {} now`; names and values have so many characters at most."""
        what, first, second = (_cut(text, longest) for text in (self.what, self.first, self.second))
        return f"{what}: {form.format(first, second)}"


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Field by field, nested tables with dots, sorted.

    >>> [one.told("{} and {}") for one in differences({"k": 1, "crf": {"mode": "a"}}, {"k": 2})]
    ["crf.mode: 'a' and nothing", 'k: 1 and 2']
    """
    a, b = _flat(first), _flat(second)
    fields = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    return [Difference(key, a.get(key, "nothing"), b.get(key, "nothing")) for key in fields]


def told_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What a file has and what is asked for, in a clause each.

    >>> told_differences({"settings": {"size": 320, "k": 12}}, {"settings": {"size": 224}})
    'settings.k: 12 there, nothing now; settings.size: 320 there, 224 now'
    """
    return "; ".join(one.told(THERE_AND_NOW) for one in differences(there, now))


def _flat(table: Mapping[str, Any], at: str = "", deep: int = 0) -> dict[str, str]:
    """Each field's text, of ASCII alone: the file may be anybody's."""
    found: dict[str, str] = {}
    for key, value in table.items():
        name = ascii(f"{at}{key}")[1:-1]
        if isinstance(value, Mapping) and deep < DEEPEST:
            found |= _flat(value, f"{at}{key}." if key else at, deep + 1)
        else:
            found[name] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(one) if not isinstance(one, list | tuple) else '...' for one in value)}]"
    return "..." if isinstance(value, Mapping) else ascii(value)


def _cut(text: str, longest: int) -> str:
    if SHA256.fullmatch(text):
        return f"{text[:13]}...'"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
