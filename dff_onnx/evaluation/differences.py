"""In what two evaluations differ: model, layer, size, settings, as their `figures.json` say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 6
LONGEST = 24  # characters of a value in a sentence


@dataclass(frozen=True, slots=True)
class Difference:
    """One field with what it is in each; a field that one has not is `nothing` there."""

    what: str
    first: str
    second: str

    def told(self, form: str) -> str:
        """A clause, from a form such as `{} there, {} now`."""
        return f"{_cut(self.what)}: {form.format(_cut(self.first), _cut(self.second))}"


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Field by field, nested tables with dots, sorted.

    >>> [one.told("{} and {}") for one in differences({"k": 1, "crf": {"mode": "a"}}, {"k": 2})]
    ["crf.mode: 'a' and nothing", 'k: 1 and 2']
    """
    a, b = _flat(first), _flat(second)
    fields = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
    return [Difference(key, a.get(key, "nothing"), b.get(key, "nothing")) for key in fields]


def settings_by_system(systems: Any) -> dict[str, Mapping[str, Any]]:
    """The settings of each system by its name, which is empty for a plan of parts; what is no system falls away."""
    tables = [one for one in systems if isinstance(one, Mapping)] if isinstance(systems, list) else []
    return {str(one.get("name", "")): _settings(one) for one in tables}


def _settings(system: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = system.get("settings")
    others = {key: value for key, value in system.items() if key not in ("name", "title", "settings")}
    return {**others, **settings} if isinstance(settings, Mapping) else others


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


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
