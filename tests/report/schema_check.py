"""As much of JSON Schema (2020-12) as `docs/results.schema.json` uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
SAID = {"$schema", "$defs", "title", "description"}


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Everything in which `value` departs from `schema`."""
    for word, wanted in schema.items():
        if word == "$ref":
            yield from complaints(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, at)
        elif word == "anyOf":
            if all(list(complaints(value, choice, root, at)) for choice in wanted):
                yield f"{at}: none of the choices"
        elif word in ("properties", "items", "additionalProperties"):
            yield from _inside(word, value, schema, root, at)
        elif word not in SAID and not _holds(word, wanted, value):
            yield f"{at}: {word} {wanted}, found {value!r:.60}"


def _inside(word: str, value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    if word == "properties" and isinstance(value, dict):
        for key, inner in schema[word].items():
            if key in value:
                yield from complaints(value[key], inner, root, f"{at}.{key}")
    elif word == "items" and isinstance(value, list):
        for number, entry in enumerate(value):
            yield from complaints(entry, schema[word], root, f"{at}[{number}]")
    elif word == "additionalProperties" and isinstance(value, dict):
        assert schema[word] is False
        yield from (f"{at}: unknown {key}" for key in value.keys() - schema["properties"].keys())


def _holds(word: str, wanted: Any, value: Any) -> bool:
    match word:
        case "type":
            names = [wanted] if isinstance(wanted, str) else wanted
            return any(isinstance(value, TYPES[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names)
        case "required":
            return not isinstance(value, dict) or set(wanted) <= value.keys()
        case "const":
            return bool(value == wanted)
        case "enum":
            return bool(value in wanted)
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "minItems" | "maxItems":
            return not isinstance(value, list) or (len(value) >= wanted if word == "minItems" else len(value) <= wanted)
        case "minimum" | "maximum" | "exclusiveMinimum":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return True
            held = {"minimum": value >= wanted, "maximum": value <= wanted, "exclusiveMinimum": value > wanted}
            return bool(held[word])
        case _:
            raise AssertionError(f"the check does not know {word!r}")
