"""Ways to damage a `.npz` of arrays and a JSON text; each must be refused."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from banks import about, archive_of, entries, npy, text_array

Contents = dict[str, bytes]


class Attack:
    """A pickle that would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.intern, ("a pickle ran",))


def replaced(**others: bytes) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {f"{name}.npy": content for name, content in others.items()}


def told(**changes: Any) -> Callable[[Contents], Contents]:
    """Other fields in the JSON."""
    return lambda contents: contents | {"about.npy": about(contents, **changes)}


def without_field(name: str) -> Callable[[Contents], Contents]:
    def changed(contents: Contents) -> Contents:
        text = np.frombuffer(contents["about.npy"], np.uint8)[128:].tobytes()
        return contents | {"about.npy": text_array(text.decode().replace(f'"{name}":', f'"not {name}":'))}

    return changed


def attacks(name: str, array: np.ndarray[Any, Any]) -> dict[str, Callable[[Contents], Contents]]:
    """What may be done to the matrix of that name, and to the JSON, of any such file."""

    def claiming(shape: str) -> bytes:
        return npy(np.zeros(1, np.float32)).replace(b"'shape': (1,), }", f"'shape': {shape}, }}".encode())

    return {
        "an array of objects": replaced(**{name: npy(np.array([Attack()] * 3, object), allow_pickle=True)}),
        "a bare pickle": replaced(**{name: pickle.dumps(Attack())}),
        "a header that is an expression": replaced(**{name: claiming("(().__class__, 1)")}),
        "a shape of petabytes": replaced(**{name: claiming("(999999999, 999999999)")}),
        "a shape beyond any integer": replaced(**{name: claiming(f"({'9' * 400}, 5)")}),
        "a negative shape": replaced(**{name: claiming("(-1, 5)")}),
        "columns first": replaced(**{name: npy(np.asfortranarray(array))}),
        "numbers of 64 bits": replaced(**{name: npy(array.astype(np.float64))}),
        "the other byte order": replaced(**{name: npy(array.astype(">f4"))}),
        "a row less": replaced(**{name: npy(array[:-1])}),
        "no rows": replaced(**{name: npy(array[:0])}),
        "a scalar": replaced(**{name: npy(np.float32(1))}),
        "values that are no numbers": replaced(**{name: npy(np.full_like(array, np.nan))}),
        "values without end": replaced(**{name: npy(np.full_like(array, np.inf))}),
        "trailing bytes": lambda contents: contents | {f"{name}.npy": contents[f"{name}.npy"] + b"\0" * 4},
        "an empty entry": replaced(**{name: b""}),
        "a missing array": lambda contents: {key: value for key, value in contents.items() if name not in key},
        "one entry more": lambda contents: contents | {"run.py": b"print()"},
        "no JSON": replaced(about=text_array("{")),
        "JSON of another kind": replaced(about=text_array("[1]")),
        "JSON with a NaN": replaced(about=text_array('{"format": NaN}')),
        "JSON with a key twice": replaced(about=text_array('{"format": 1, "format": 2}')),
        "JSON nested too deep": replaced(about=text_array("[" * 200_000)),
        "bytes that are no UTF-8": replaced(about=npy(np.full(9, 255, np.uint8))),
        "a later format": told(format="dff-onnx/features/9"),
        "a format that is no text": told(format={"a": 1}),
        "no fingerprint": told(fingerprint=None),
        "a fingerprint of numbers": told(fingerprint={"model_sha256": 1, "layer": 2, "preprocessing": {}}),
        "preprocessing that cannot be": told(
            fingerprint={"model_sha256": "a", "layer": "b", "preprocessing": {"mean": [0, 0, "nan"], "std": [1, 1, 1]}}
        ),
        "an unknown pool": told(pool="min"),
        "a pool that is a list": told(pool=["mean"]),
        "a size of no pixels": told(resize={"mode": "square", "pixels": 0}),
        "a size that is text": told(resize="224"),
        "a field less": without_field("pool"),
    }


def packed_otherwise(data: bytes) -> bytes:
    """The same file, packed as this program packs none."""
    return archive_of(entries(data), zipfile.ZIP_BZIP2)
