"""A log that was left behind by a kill, and damaged: what it tells is a state that the index was in, or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_entries import entry, held, identity_of, written_down
from mutations import mutated
from torture_tier import each, tiers

from dff_onnx.errors import OutputError, StoreError
from dff_onnx.store import SqliteStore

BATCHES = 4


@pytest.fixture
def left(path: Path, tmp_path: Path) -> Path:
    """A file and its log, as they lie there when a writer of four batches is killed."""
    copy = tmp_path / "left" / "index.db"
    copy.parent.mkdir()
    with SqliteStore.write(path, identity_of()) as store:
        for batch in states()[1:]:
            store.put([one for one in batch if one.path not in store.stamps()])
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
    assert Path(f"{copy}-wal").stat().st_size > 10_000
    return copy


def states() -> list[list[Any]]:
    """What the index held after each batch."""
    return [[entry(f"{n:03}.jpg", regions=n % 3) for n in range(5 * batches)] for batches in range(BATCHES + 1)]


def test_a_log_that_was_left_behind_is_read(left: Path) -> None:
    with SqliteStore.open(left) as store:
        assert held(store) == written_down(states()[-1]) and store.check() == ()


@tiers("mutated journals")
def test_a_mutated_log_gives_a_state_that_was_there_or_is_refused(cases: range, left: Path) -> None:
    file, log = left.read_bytes(), Path(f"{left}-wal").read_bytes()
    known = [written_down(state) for state in states()]

    def judge(_: int, rng: np.random.Generator) -> str:
        left.write_bytes(file)
        Path(f"{left}-shm").unlink(missing_ok=True)
        Path(f"{left}-wal").write_bytes(mutated(log, rng))
        try:
            with SqliteStore.open(left) as store:
                problems = store.check()
                now = None if problems else held(store)
        except (StoreError, OutputError):
            return "refused"
        if problems:
            return "found"
        assert now in known
        return "a state"

    assert each(cases, judge)["a state"]
