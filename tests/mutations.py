"""What becomes of bytes in the hands of chance."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

# What counts, lengths and offsets are when they are wrong.
EXTREMES = [value.to_bytes(8, "little", signed=True) for value in (0, 1, -1, 2**31 - 1, -(2**31), 2**32, -(2**63))]


def mutated(data: bytes, rng: np.random.Generator, letters: bytes = b"") -> bytes:
    """One to four edits: bytes changed, bits flipped, extremes written, pieces taken out, moved or made noise.

    Args:
        data: not empty.
        rng: decides.
        letters: that changed bytes are taken from, for texts; all 256 without.
    """
    edited = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if not edited:
            break
        at, span = int(rng.integers(len(edited))), int(rng.choice([1, 1, 2, 4, 8, 40]))
        match int(rng.integers(8)):
            case 0 | 1 | 2:
                edited[at] = letters[rng.integers(len(letters))] if letters else int(rng.integers(256))
            case 3:
                edited[at] ^= 1 << int(rng.integers(8))
            case 4:
                extreme = EXTREMES[rng.integers(len(EXTREMES))][: rng.choice([1, 2, 4, 8])]
                edited[at : at + len(extreme)] = extreme
            case 5:
                del edited[at : at + span]
            case 6:
                other = int(rng.integers(len(edited)))
                edited[at:at] = edited[other : other + span]
            case 7:
                edited[at : at + span] = rng.bytes(span)
    if rng.random() < 0.1:
        del edited[int(rng.integers(len(edited) + 1)) :]
    return bytes(edited)


def mutated_tree(tree: Any, rng: np.random.Generator) -> Any:
    """A copy of what JSON holds, with one to three of its values, anywhere, something else or gone."""
    edited = copy.deepcopy(tree)
    for _ in range(rng.integers(1, 4)):
        _change(edited, rng)
    return edited


def _change(value: Any, rng: np.random.Generator) -> None:
    others: list[Any] = [None, True, -1, 1e308, 10**30, "", "../x", [], {}, "\x00<b>", 0.5, [[1]], {"a": 1}]
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = keys[rng.integers(len(keys))]
        if isinstance(value[key], dict | list) and rng.random() < 0.8:
            value = value[key]
            continue
        if rng.random() < 0.2:
            del value[key]
        else:
            value[key] = others[rng.integers(len(others))]
        return
