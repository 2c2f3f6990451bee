"""`labels.json`: the names that a person gave to the concepts of a run.

`{"dff-onnx": "labels/1", "concepts": {"0": ["head", "neck"], "1": ["torso"]}}`, or the inner table alone, where one
name need not stand in a list. Names are text that somebody chose: they go into files that others read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dff_onnx.errors import OutputError, RefusedError, UsageError
from dff_onnx.plain_text import is_plain
from dff_onnx.report.read_results import read_json
from dff_onnx.report.results import strict_json

FORMAT = "labels/1"
LONGEST = 60  # characters of a name
MOST_PARTS = 16  # of one concept
LARGEST = 2**20
JOINT = " + "


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of concepts.

    Attributes:
        parts: of each concept, by number; several where it shows several parts, none where it has no name.

    >>> Labels((("head", "neck"), (), ("tail",))).names
    ('head + neck', None, 'tail')
    """

    parts: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str | None, ...]:
        """One name for each concept: its parts joined; None where it has none."""
        return tuple(JOINT.join(parts) or None for parts in self.parts)


def checked_parts(names: Iterable[str]) -> tuple[str, ...]:
    """The names of one concept, stripped, each once; empty ones fall away.

    Raises:
        UsageError: for a name that is too long or holds what no name may, and for too many.

    >>> checked_parts(" head, neck,".split(","))
    ('head', 'neck')
    """
    stripped = (name.strip() for name in names)
    parts = tuple(dict.fromkeys(name for name in stripped if name))
    for name in parts:
        if len(name) > LONGEST:
            raise UsageError(f"{name[:20]!a}… has {len(name)} characters, and a name has at most {LONGEST}")
        if not is_plain(name):
            raise UsageError(f"{name!a} holds a control character, and a name has none")
    if len(parts) > MOST_PARTS:
        raise UsageError(f"{len(parts)} names are too many for one concept; at most {MOST_PARTS} can be joined")
    return parts


def labels_json(labels: Labels) -> bytes:
    """The file's contents; a concept without a name has an empty list."""
    return strict_json(
        {"dff-onnx": FORMAT, "concepts": {str(number): list(parts) for number, parts in enumerate(labels.parts)}}
    )


def read_labels(path: Path, k: int) -> Labels:
    """Reads names of `k` concepts; those the file does not mention have none.

    Raises:
        UsageError: when there is no such file.
        RefusedError: naming the file and what is wrong with it.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give a labels.json, such as {path / 'labels.json'}")
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give a labels.json")
    document = read_json(path, LARGEST)
    if isinstance(document, dict) and "dff-onnx" in document:
        if document["dff-onnx"] != FORMAT:
            _refuse(path, f"has the format {ascii(document['dff-onnx'])[:60]}, and this version reads {FORMAT!r}")
        document = document.get("concepts")
    if not isinstance(document, dict):
        _refuse(path, 'is no table of concepts and names, such as {"0": ["head", "neck"], "1": "torso"}')
    parts: list[tuple[str, ...]] = [()] * k
    for key, names in document.items():
        number = _number(path, key, k)
        parts[number] = _parts(path, key, names)
    return Labels(tuple(parts))


def drop_empty(path: Path, k: int) -> None:
    """Removes a file of names in which nobody wrote any; what holds a name, or cannot be read, is kept.

    Raises:
        OutputError: when it cannot be removed.
    """
    try:
        if path.is_file() and not any(read_labels(path, k).parts):
            path.unlink()
    except RefusedError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror})") from error


def _number(path: Path, key: str, k: int) -> int:
    number = int(key) if key.isascii() and key.isdigit() and len(key) < 9 else k
    if str(number) != key or number >= k:
        _refuse(path, f"names the concept {ascii(key)[:40]}, and the run has 0 to {k - 1}")
    return number


def _parts(path: Path, key: str, names: Any) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else [] if names is None else names
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        _refuse(path, f"the names of concept {key} are {ascii(names)[:60]}, and a list of texts is needed")
    try:
        return checked_parts(listed)
    except UsageError as error:
        raise RefusedError(f"{path}: concept {key}: {error}; correct the file") from error


def _refuse(path: Path, found: str) -> NoReturn:
    raise RefusedError(f"{path}: {found}; correct the file")
