"""Rows on disk: what was told to be there is there, what is not whole is not taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.errors import OutputError
from dff_onnx.store import RowStore

OF = {"network": "ab"}
PARTS = [np.random.default_rng(n).random((3 + n, 5), np.float32) for n in range(6)]


def filled(folder: Path, parts: int = 6) -> None:
    with RowStore(folder, "a", OF) as store:
        for number, part in enumerate(PARTS[:parts]):
            store.add([part[:1], part[1:]], {"number": number})


def taken_up(folder: Path, of: dict[str, Any] = OF, good: int = 99) -> tuple[list[int], Any]:
    found: list[int] = []

    def take_up(about: dict[str, Any]) -> bool:
        if len(found) < good:
            found.append(about["number"])
            return True
        return False

    with RowStore(folder, "a", of, take_up) as store:
        return found, store.matrix()


def test_parts_come_back_and_go_on(tmp_path: Path) -> None:
    filled(tmp_path, 4)
    with RowStore(tmp_path, "a", OF) as store:
        for number in (4, 5):
            store.add([PARTS[number]], {"number": number})
        store.add([], {"number": 6})  # a part without rows
    numbers, rows = taken_up(tmp_path)
    assert numbers == [0, 1, 2, 3, 4, 5, 6] and (rows == np.concatenate(PARTS)).all()
    with RowStore(tmp_path, "a", OF) as store:
        mapped = store.matrix(store.size - 1)
        assert isinstance(mapped, np.memmap) and (mapped == rows).all()
        assert not isinstance(store.matrix(store.size), np.memmap)


def test_parts_of_something_else_are_not_taken_up(tmp_path: Path) -> None:
    filled(tmp_path)
    assert taken_up(tmp_path, good=2)[0] == [0, 1]
    assert taken_up(tmp_path)[0] == [0, 1]  # those behind went
    assert taken_up(tmp_path, {"network": "cd"}) == ([], None)


@tiers("mutated rows of a run")
def test_nothing_damaged_is_taken_up(cases: range, tmp_path: Path) -> None:
    filled(tmp_path)
    whole = {path: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    rows = np.concatenate(PARTS)

    def judge(_: int, rng: np.random.Generator) -> str:
        for path, data in whole.items():
            path.write_bytes(data)
        path = list(whole)[rng.integers(len(whole))]
        path.write_bytes(mutated(whole[path], rng))
        numbers, found = taken_up(tmp_path)
        assert numbers == list(range(len(numbers)))
        expected = sum(len(part) for part in PARTS[: len(numbers)])
        assert (found is None and not expected) or ((found == rows[:expected]).all() and len(found) == expected)
        return "whole" if len(numbers) == len(PARTS) else "cut"

    assert each(cases, judge)["cut"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.rows").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"a\.rows: cannot be written"), RowStore(tmp_path, "a", OF) as store:
        store.add(PARTS[:1], {"number": 0})
