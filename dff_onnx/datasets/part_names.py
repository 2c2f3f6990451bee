"""Which names the parts of PASCAL-Part get: a mapping file merges what a heat map cannot tell apart."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from dff_onnx.datasets.paths import read_text
from dff_onnx.errors import DatasetError

LARGEST = 2**20
COPY = re.compile(r"_[0-9]+$")


@dataclass(frozen=True, slots=True)
class PartNames:
    """A mapping.

    Attributes:
        name: of the mapping, to be printed with results; of the file where it has none.
        common: the new name of each old one, in every class.
        by_class: the same for one class; it comes first.
    """

    name: str = "as annotated"
    common: Mapping[str, str] = field(default_factory=dict)
    by_class: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, label: str, part: str) -> str:
        """The name a part gets; its own where the mapping has none. `wheel_*` stands for `wheel_1` and so on.

        >>> PartNames(common={"lhorn": "horn", "wheel_*": "wheel"}).of("car", "wheel_12")
        'wheel'
        """
        for table in (self.by_class.get(label, {}), self.common):
            for key in (part, COPY.sub("_*", part)):
                if key in table:
                    return table[key]
        return part


def shipped_names() -> PartNames:
    """The mapping `pascal_parts.toml` of this package."""
    with resources.as_file(resources.files("dff_onnx.datasets") / "pascal_parts.toml") as path:
        return read_part_names(path)


def read_part_names(path: str | Path) -> PartNames:
    """Reads a mapping, TOML or (by its suffix) JSON.

    It holds `name`, and tables of `new = ["old", ...]`: `parts` for every class, `classes.<class>` for one.

    Raises:
        DatasetError: when it is no such file, or gives an old name two new ones.
    """
    path = Path(path)
    text = read_text(path, LARGEST)
    try:
        fields = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        return _names(fields, path)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: is no mapping of part names ({str(error)[:120]})") from error


def _names(fields: Any, path: Path) -> PartNames:
    if not isinstance(fields, dict) or not fields.keys() <= {"name", "parts", "classes"}:
        raise DatasetError("holds something else than name, parts and classes")
    name, classes = fields.get("name", path.stem), fields.get("classes", {})
    if not isinstance(name, str) or not name.isprintable() or not isinstance(classes, dict):
        raise DatasetError("its name is no text, or its classes are no table")
    return PartNames(
        name, _turned(fields.get("parts", {})), {label: _turned(table) for label, table in classes.items()}
    )


def _turned(table: Any) -> dict[str, str]:
    """`{"horn": ["lhorn", "rhorn"]}` as `{"lhorn": "horn", "rhorn": "horn"}`."""
    turned: dict[str, str] = {}
    if not isinstance(table, dict):
        raise DatasetError("parts and each class must be a table of names")
    for new, olds in table.items():
        if not (new.strip() and new.isprintable() and isinstance(olds, list) and all(isinstance(o, str) for o in olds)):
            raise DatasetError(f"{new[:40]!r} does not stand before a list of part names")
        for old in olds:
            if turned.setdefault(old, new) != new:
                raise DatasetError(f"merges {old[:40]!r} into both {turned[old][:40]!r} and {new[:40]!r}")
    return turned
