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
    """Field by field, nested tables with dots, sorted. Values decide: 75 and 75.0 are one.

    >>> [one.told("{} and {}") for one in differences({"k": 1, "crf": {"mode": "a"}}, {"k": 2})]
    ["crf.mode: 'a' and nothing", 'k: 1 and 2']
    """
    a, b = _flat(first), _flat(second)
    fields = sorted(key for key in a.keys() | b.keys() if key not in a or key not in b or not _same(a[key], b[key]))
    return [Difference(key, *(_text(of[key]) if key in of else "nothing" for of in (a, b))) for key in fields]


def told_differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What a file has and what is asked for, in a clause each.

    >>> told_differences({"settings": {"size": 320, "k": 12}}, {"settings": {"size": 224}})
    'settings.k: 12 there, nothing now; settings.size: 320 there, 224 now'
    """
    return "; ".join(one.told(THERE_AND_NOW) for one in differences(there, now))


def _flat(table: Mapping[str, Any], at: str = "", deep: int = 0) -> dict[str, Any]:
    """Each field's value; names are of ASCII alone: the file may be anybody's."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = ascii(f"{at}{key}")[1:-1]
        if isinstance(value, Mapping) and deep < DEEPEST:
            found |= _flat(value, f"{at}{key}." if key else at, deep + 1)
        else:
            found[name] = value
    return found


def _same(first: Any, second: Any) -> bool:
    """Whether two plain values are equal, however deep they are; a list and a tuple can be, 1 and true are not."""
    pairs = [(first, second)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
            pairs += zip(a, b, strict=True)
        elif isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
            pairs += ((a[key], b[key]) for key in a)
        elif isinstance(a, list | tuple | Mapping) or isinstance(a, bool) != isinstance(b, bool) or a != b:
            return False
    return True


def _text(value: Any, deep: int = 0) -> str:
    """A value in a sentence, of ASCII alone."""
    if isinstance(value, list | tuple) and deep < DEEPEST:
        return f"[{', '.join(_text(one, deep + 1) for one in value)}]"
    return "..." if isinstance(value, list | tuple | Mapping) else ascii(value)


def _cut(text: str, longest: int) -> str:
    if SHA256.fullmatch(text):
        return f"{text[:13]}...'"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
